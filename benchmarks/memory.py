"""Memory over time: three connectors in one process, 10,000 trades a second together, into a real broker.

Looked at every second from outside (resident memory, libraries' share included). One feeder process plays each venue:
one trade a frame, or ten, as the venue does. The slope is that of the straight line with the least squares.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import below, progress, slope
from benchmarks.processes import Ended, Feeding
from benchmarks.tapes import TAPES, Leg

RATES = {"binance": 3_400, "kraken": 330, "coinbase": 3_300}
"""Frames a second; one of the second holds ten trades."""
LIMIT = 80.0
"""Megabytes (10^6 bytes)."""
SETTLED = 60
"""Seconds after which memory is meant to stay where it is."""


def run(quick: bool) -> dict[str, Any]:
    """Resident memory every second, its most, and its rise after the first minute."""
    seconds, settled = (20, 5) if quick else (600, SETTLED)
    progress(f"memory: three connectors, {seconds} s")
    with cluster() as at:
        start, samples, books = _play(at, seconds)
    most = max(size for _, size in samples)
    late = [(moment, size) for moment, size in samples if moment >= settled]
    rise = slope(late) * 3600
    rate = sum(one["published"] for one in books["connectors"].values()) / seconds
    return {
        "seconds": seconds, "frames_per_second": RATES, "trades_per_second": round(rate), "settled_after_s": settled,
        "before_mb": round(start, 1), "most_mb": round(most, 1), "limit_mb": LIMIT, "last_mb": round(samples[-1][1], 1),
        "slope_mb_per_hour": round(rise, 2),
        "samples": [[round(moment, 1), round(size, 2)] for moment, size in samples],
        "trades": {name: one["published"] for name, one in books["connectors"].items()},
        "targets": [below("resident memory at its most, three connectors, 10,000/s together", LIMIT, most, "MB")],
    }


def _play(at: Cluster, seconds: int) -> tuple[float, list[tuple[float, float]], dict[str, Any]]:
    """Megabytes before the first trade; (seconds, megabytes) every second; the final books."""
    tapes = {name: TAPES[name](10, 1) for name in RATES}
    feeders: dict[str, Feeding] = {}
    try:
        given: dict[str, str] = {}
        for name, tape in tapes.items():
            feeder = feeders[name] = Feeding(at.folder, name)
            given |= {**addressed(name, feeder, tape.path), f"K2_{name.upper()}_STREAMS": tape.stream,
                      f"K2_{name.upper()}_SYMBOLS": ",".join(tape.symbols)}
        engine = Engine(at, list(tapes), given)
        try:
            for name, tape in tapes.items():
                subscribed(engine, feeders[name], 1, len(tape.symbols))
            engine.quiet()
            before = engine.resident / 1e6
            for name, feeder in feeders.items():
                feeder.tell(f"go legs {RATES[name]}x{seconds}")
            samples = _watch(engine, seconds)
            for name, feeder in feeders.items():
                feeder.hear(f"sent {name}")
            trades = sum(Leg(RATES[name], seconds).frames * tape.trades for name, tape in tapes.items())
            engine.until(trades)
            return before, samples, engine.finish(trades)
        finally:
            engine.stop()
    finally:
        for feeder in feeders.values():
            feeder.stop()


def _watch(engine: Engine, seconds: int) -> list[tuple[float, float]]:
    """Looks once a second: seconds since the start, megabytes."""
    began = time.monotonic()
    samples: list[tuple[float, float]] = []
    while len(samples) < seconds:
        time.sleep(max(0.0, began + len(samples) + 1 - time.monotonic()))
        if not engine.running:
            raise Ended(f"the engine ended after {len(samples)} s:\n{engine.log.read_text()[-2000:]}")
        samples.append((time.monotonic() - began, engine.resident / 1e6))
        if len(samples) % 60 == 0:
            progress(f"memory: {samples[-1][1]:.1f} MB after {len(samples) // 60} of {seconds // 60} min")
    return samples
