"""What `run --workers N` gains on this machine: records a second until acknowledged, at full speed.

Each worker's connection is fed the same number of frames as fast as it takes them, so N workers have N times the work.
The feeder and the broker use cores of this machine, too: with few cores they are what is left for more workers.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import progress
from benchmarks.processes import Feeding
from benchmarks.tapes import BinanceTape
from k2conn.cli.loading import find

WORKERS = (1, 2, 3)
FRAMES = 150_000
SYMBOLS = 12
"""So that each number of workers has the same share."""
ROUNDS = 5


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS; the numbers of workers take turns."""
    rounds, frames = (1, 20_000) if quick else (ROUNDS, FRAMES)
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with cluster() as at:
        for number in range(rounds):
            for workers, found in rates.items():
                progress(f"scaling: round {number + 1} of {rounds}, {workers} workers")
                found.append(_play(at, workers, frames, f"scaling{number}.{workers}"))
    alone = statistics.median(rates[1])
    return {
        "frames_per_worker": frames,
        "workers": {
            str(workers): {
                "rate": round(statistics.median(found)), "rounds": [round(one) for one in found],
                "times_one": round(statistics.median(found) / alone, 2),
            }
            for workers, found in rates.items()
        },
    }


def _play(at: Cluster, workers: int, frames: int, topic: str) -> float:
    """Records a second of one run."""
    tape = BinanceTape(SYMBOLS, 1)
    feeder = Feeding(at.folder, tape.venue, symbols=SYMBOLS, frames=frames)
    try:
        file = at.folder / "binance.yaml"
        file.write_text(find("binance").read_text(encoding="utf-8") + f'\nkafka_topic: "{topic}"\n', encoding="utf-8")
        given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols),
                 "K2_WORKERS": str(workers)}
        engine = Engine(at, [str(file)], given, streams=tape.stream)
        try:
            subscribed(engine, feeder, workers, SYMBOLS // workers)
            engine.quiet()
            start, total = time.perf_counter(), frames * workers
            feeder.tell(f"go full {frames}")
            engine.until(total)
            seconds = time.perf_counter() - start
            engine.finish(total)
        finally:
            engine.stop()
    finally:
        feeder.stop()
    return total / seconds
