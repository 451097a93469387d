"""CPU of a trade at the rates that venues really have: from a few a second to more than any has.

As under Growth, one process with one connection of ten symbols into a topic of one partition; the feeder looks every
millisecond what is due, so that up to a thousand a second each trade is a read of its own. With linger 5 ms the trades
of that time leave in one batch, with linger 0 what one read brought. How many reads and batches there were is counted
in the process (see `benchmarks.counted`).

At a low rate a trade pays for its read and its batch, at a high one hundreds share them. So the CPU is also fitted:
`second x seconds + trade x trades + read x reads + batch x batches`, by the least squares of the relative errors.
`second` is what the process costs while nothing happens; what would come out below nothing is left out. Every record is
read back, in order and with its numbers.

The native program (see `benchmarks/peers/native`) takes its turn at each rate, as what the job costs at the very least;
its linger is 5 ms.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine import Cluster, Engine, addressed, cluster
from benchmarks.figures import below, progress, solved
from benchmarks.peers.programs import start_native
from benchmarks.peers.proof import prove, read_avro
from benchmarks.peers.topics import Topics
from benchmarks.processes import Feeding, Process
from benchmarks.tapes import BinanceTape, Leg
from k2conn.cli.loading import find

ROUNDS = 3
SYMBOLS = 10
RATES = (100, 1_000, 10_000, 50_000)
LINGERS = (5, 0)
NATIVE_LINGER = 5
PARTS = ("second", "trade", "read", "batch")
"""What is fitted, each in CPU microseconds."""
TARGETS = {100: 2.5, 1_000: 6.0}
"""Percent of a core at linger 5 ms, at most."""
AT_TEN_THOUSAND = 7.0
"""Microseconds a trade, linger 5 ms, at most."""


class Case(NamedTuple):
    """One measurement: trades a second, and the milliseconds that a record waits for others."""

    rate: int
    linger: int


class Cost(NamedTuple):
    """What a run took, and in how many pieces it worked (0 where that is not counted)."""

    cpu: float
    seconds: float
    trades: int
    reads: int
    batches: int

    @property
    def us(self) -> float:
        """CPU microseconds a trade."""
        return self.cpu / self.trades * 1e6


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS rounds; the cases take turns."""
    cases = [Case(rate, linger) for rate in RATES for linger in LINGERS]
    costs: dict[Case, list[Cost]] = {case: [] for case in cases}
    native: dict[int, list[Cost]] = {rate: [] for rate in RATES}
    with cluster() as at:
        for number in range(1 if quick else ROUNDS):
            for case, found in costs.items():
                found.append(_play(at, case, _seconds(case.rate, quick), _engine))
                progress(f"offered: round {number + 1}, {case.rate:,}/s, linger {case.linger} ms: "
                         f"{found[-1].us:.1f} us a trade")
            for rate, beside in native.items():
                beside.append(_play(at, Case(rate, NATIVE_LINGER), _seconds(rate, quick), _native))
                progress(f"offered: round {number + 1}, {rate:,}/s, the native program: {beside[-1].us:.1f} us a trade")
    return result(costs, native)


def result(costs: dict[Case, list[Cost]], native: dict[int, list[Cost]]) -> dict[str, Any]:
    """The rows, what they come to for a trade, a read and a batch, and the targets."""
    rows = [_row(case, found) for case, found in costs.items()]
    beside = [_beside(rate, found, costs[Case(rate, NATIVE_LINGER)]) for rate, found in native.items()]
    by_case = {(row["rate"], row["linger_ms"]): row for row in rows}
    targets = [below(f"{rate:,}/s, linger 5 ms, of a core", most, by_case[rate, 5]["core_percent"], "%")
               for rate, most in TARGETS.items()]
    targets += [below("10,000/s, linger 5 ms, CPU a trade", AT_TEN_THOUSAND, by_case[10_000, 5]["cpu_us"], "us")]
    return {
        "rows": rows, "native": beside, "parts_us": _fitted([cost for found in costs.values() for cost in found]),
        "checked": "every record read back: count, order by symbol, price, quantity, side", "targets": targets,
    }


def _row(case: Case, found: Sequence[Cost]) -> dict[str, Any]:
    costs = [one.us for one in found]
    median = statistics.median(costs)
    return {
        "rate": case.rate, "linger_ms": case.linger, "cpu_us": round(median, 2),
        "core_percent": round(median * case.rate / 1e4, 2), "rounds": [round(one, 2) for one in costs],
        "trades_a_read": round(sum(one.trades for one in found) / sum(one.reads for one in found), 2),
        "trades_a_batch": round(sum(one.trades for one in found) / sum(one.batches for one in found), 2),
    }


def _beside(rate: int, native: Sequence[Cost], ours: Sequence[Cost]) -> dict[str, Any]:
    """The native program at a rate, and how many times its CPU k2conn took in the same round."""
    return {
        "rate": rate, "cpu_us": round(statistics.median(one.us for one in native), 2),
        "rounds": [round(one.us, 2) for one in native],
        "times": round(statistics.median(own.us / one.us for own, one in zip(ours, native, strict=True)), 2),
    }


def _fitted(found: Sequence[Cost]) -> dict[str, float]:
    """Microseconds of each of PARTS."""
    rows = [[number / one.cpu for number in (one.seconds, one.trades, one.reads, one.batches)] for one in found]
    parts = list(range(len(PARTS)))
    while True:
        squares = [[sum(row[left] * row[right] for row in rows) for right in parts] for left in parts]
        values = solved(squares, [sum(row[part] for row in rows) for part in parts])
        if min(values) >= 0:
            break
        del parts[values.index(min(values))]
    return dict.fromkeys(PARTS, 0.0) | {
        PARTS[part]: round(value * 1e6, 2) for part, value in zip(parts, values, strict=True)
    }


def _seconds(rate: int, quick: bool) -> int:
    """Long enough for a figure, short enough to read it all back."""
    if quick:
        return 2
    return 4 if rate > 10_000 else 10 if rate > 100 else 20


_runs = itertools.count()


def _play(at: Cluster, case: Case, seconds: int, start: Callable[..., Process]) -> Cost:
    """One process, from the first trade sent to the last one in the broker."""
    topic = f"offered.{next(_runs)}"
    folder = at.folder / topic
    folder.mkdir()
    tape, leg = BinanceTape(SYMBOLS, 1), Leg(case.rate, seconds)
    topics = Topics(at.bootstrap, [topic])
    feeder = Feeding(folder, tape.venue, symbols=SYMBOLS)
    try:
        process = start(at, case, folder, feeder, tape)
        try:
            feeder.hear(f"asked {SYMBOLS}")
            process.quiet()
            before = process.cpu
            feeder.tell(f"go legs {leg.rate:g}x{leg.seconds:g}")
            begin, end = map(float, feeder.hear(f"sent {tape.venue}", seconds + 60).split())
            topics.wait(leg.frames, process)
            spent = process.cpu - before
            if isinstance(process, Engine):
                process.finish(leg.frames)
        finally:
            process.stop()
        prove(topics.values(), read_avro, leg.frames, SYMBOLS)
    finally:
        feeder.stop()
        topics.close()
    counts = _counts(folder)
    counted = json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {"reads": 0, "batches": 0}
    return Cost(spent, end - begin, leg.frames, counted["reads"], counted["batches"])


def _engine(at: Cluster, case: Case, folder: Path, feeder: Feeding, tape: BinanceTape) -> Process:
    """k2conn, counted; its topic has its folder's name."""
    file = folder / "binance.yaml"
    file.write_text(find("binance").read_text(encoding="utf-8") + f'\nkafka_topic: "{folder.name}"\n', encoding="utf-8")
    given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols)}
    return Engine(at, [str(file)], given, streams=tape.stream, linger_ms=case.linger,
                  before=("-m", "benchmarks.counted", str(_counts(folder))))


def _native(at: Cluster, case: Case, folder: Path, feeder: Feeding, tape: BinanceTape) -> Process:
    return start_native(folder, folder.name, f"ws://127.0.0.1:{feeder.port}", at.bootstrap, at.registry)


def _counts(folder: Path) -> Path:
    return folder / "counts.json"
