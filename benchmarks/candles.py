"""What `--candles` and `--audit` cost `run`: CPU of the whole process a trade, with and without, in turns.

A process as under Growth: one connection of ten symbols at a steady rate into a real broker. With `--candles 1s,1m` all
candles are read back: each has the number of trades, the volume and the amount in the quote currency that the trades in
the topic add up to. The audit sums up the same trades; the venue sends no candles here, so what is compared with them
(some spans a minute) is not in it.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import below, progress
from benchmarks.peers.topics import Wrong
from benchmarks.processes import Ended, Feeding
from benchmarks.readback import records
from benchmarks.tapes import BinanceTape, Leg
from k2conn.cli.loading import find

RATE = 20_000
"""As fast as the time on the tape goes, so that spans are over while it runs."""
ROUNDS = 3
SYMBOLS = 10
MOST = 1.2
"""What a trade costs beside what it costs without, at most."""
CASES = {
    "without": {},
    "--candles 1s,1m": {"K2_CANDLES": "1s,1m"},
    "--audit": {"K2_AUDIT": "true"},
    "both": {"K2_CANDLES": "1s,1m", "K2_AUDIT": "true"},
}
_SECOND = 1_000_000


class Cost(NamedTuple):
    """CPU microseconds a trade, and how many candles were read back."""

    cpu_us: float
    candles: int


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS rounds; ratios are taken within a round."""
    seconds, rounds = (4, 1) if quick else (6, ROUNDS)
    costs: dict[str, list[Cost]] = {name: [] for name in CASES}
    with cluster() as at:
        for number in range(rounds):
            for name, found in costs.items():
                found.append(_play(at, f"candles{number}.{len(found)}.{list(CASES).index(name)}", name, seconds))
                progress(f"candles: round {number + 1} of {rounds}, {name}: {found[-1].cpu_us:.2f} us a trade")
    rows = {
        name: {
            "cpu_us": round(statistics.median(one.cpu_us for one in found), 2),
            "ratio": round(statistics.median(
                one.cpu_us / base.cpu_us for one, base in zip(found, costs["without"], strict=True)), 3),
            "rounds": [round(one.cpu_us, 2) for one in found],
            "candles": sum(one.candles for one in found),
        }
        for name, found in costs.items()
    }
    return {
        "rate": RATE, "seconds": seconds, "rows": rows,
        "checked": "every candle read back: trades, volume and quote volume are those of the trades in the topic",
        "targets": [below(f"{name}: CPU a trade beside that without", MOST, row["ratio"], "times")
                    for name, row in rows.items() if name.startswith("--")],
    }


def _play(at: Cluster, name: str, case: str, seconds: int) -> Cost:
    """One process, from the first trade sent to the last one acknowledged."""
    folder = at.folder / name
    folder.mkdir()
    tape, leg = BinanceTape(SYMBOLS, 1), Leg(RATE, seconds)
    feeder = Feeding(folder, tape.venue, symbols=SYMBOLS)
    try:
        streams = f"{tape.stream},candle"
        given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols),
                 "K2_BINANCE_INTERVALS": "1m", **CASES[case]}
        engine = Engine(at, [_copy(folder, name)], given, streams=streams)
        try:
            subscribed(engine, feeder, 1, 2 * SYMBOLS)
            engine.quiet()
            before = engine.cpu
            feeder.tell(f"go legs {leg.rate:g}x{leg.seconds:g}")
            feeder.hear(f"sent {tape.venue}", seconds + 60)
            _until(engine, tape.stream, leg.frames)
            spent = engine.cpu - before
            time.sleep(4)  # what is over is written then
        finally:
            if engine.stop(60):
                raise Ended("the process did not end in good order")
    finally:
        feeder.stop()
    candles = _proven(at, name, leg.frames) if "--candles" in case or case == "both" else 0
    return Cost(spent / leg.frames * 1e6, candles)


def _copy(folder: Path, name: str) -> str:
    """The shipped file with aggregate trades, which the feeder plays, as what the candles are made of."""
    text = find("binance").read_text(encoding="utf-8")
    rule = "audit: {trades: trade, fields: [volume, quote_volume, trade_count, high, low]}"
    assert text.count(rule) == 1
    text = text.replace(rule, "audit: {trades: agg_trade, fields: [volume, quote_volume, high, low]}")
    text = text[: text.index("\ntests:\n")]
    file = folder / "binance.yaml"
    file.write_text(text + f'\nkafka_topic: "{name}.{{data_type}}"\n', encoding="utf-8")
    return str(file)


def _until(engine: Engine, stream: str, count: int, within: float = 120.0) -> None:
    end = time.monotonic() + within
    while True:
        (connector,) = engine.health()["connectors"].values()
        if connector["streams"][stream]["published"] >= count:
            return
        if time.monotonic() > end:
            raise Ended(f"lacks some of {count} records: {connector['streams'][stream]}")
        time.sleep(0.2)


def _proven(at: Cluster, name: str, count: int) -> int:
    """How many candles of a second there are; Wrong where one is not what its trades add up to."""
    sums: dict[tuple[str, int], list[Any]] = defaultdict(lambda: [0, 0, 0])
    found = 0
    for trade, _ in records(at.bootstrap, f"{name}.trades"):
        one = sums[trade["symbol"], trade["timestamp"] // _SECOND * _SECOND]
        one[0] += 1
        one[1] += trade["quantity"]
        one[2] += trade["price"] * trade["quantity"]
        found += 1
    if found != count:
        raise Wrong(f"{found} trades of {count}")
    latest = {(one["symbol"], one["open_time"]): one
              for one, _ in records(at.bootstrap, "market.crypto.candles.binance", "candle")
              if one["interval"] == "1s" and (one["symbol"], one["open_time"]) in sums}
    for key, one in latest.items():
        if [one["trade_count"], one["volume"], one["quote_volume"]] != sums[key]:
            raise Wrong(f"{key}: {one}, and its trades {sums[key]}")
    if not latest:
        raise Wrong("there are no candles")
    return len(latest)
