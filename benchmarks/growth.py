"""What a trade costs with many symbols and with many connectors, the trades a second being the same in all.

The connectors are copies of one file under other names, each with a connection and ten symbols of its own; linger 5 ms.
More connectors are not only more code: a read has its own cost however many frames it finds, and so has a batch however
few its records. So there are three rows: connectors with a topic each, as real ones have; the same into one topic; and
that with frames that arrive ten at a time on each connection. In all other rows the feeder sends each frame by itself,
as near as its sleeps of a tenth of a millisecond allow.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import below, progress
from benchmarks.processes import Feeding
from benchmarks.tapes import BinanceTape, Leg
from k2conn.cli.loading import find, load
from k2conn.runner.saved_list import saved_text
from k2conn.variables import prefix_of

RATE = 10_000
ROUNDS = 3
SYMBOLS = (1, 10, 100, 1_000)
CONNECTORS = (1, 5, 10, 20, 40)
TOGETHER = 10
"""Frames that the feeder sends at a time on each connection in the last row."""
FLAT = 1.25
"""The dearest may cost so many times the cheapest."""


class Case(NamedTuple):
    """One measurement."""

    row: str
    connectors: int
    symbols: int
    topics: int
    together: int = 1

    @property
    def name(self) -> str:
        """What changes in its row."""
        return str(self.symbols if self.row == "symbols" else self.connectors)


class Cost(NamedTuple):
    """CPU microseconds a trade of the whole process, and the trades a second that the feeder really sent."""

    cpu_us: float
    offered: float


def cases(quick: bool) -> list[Case]:
    """All measurements of one round."""
    symbols, connectors = ((1, 1_000), (1, 20)) if quick else (SYMBOLS, CONNECTORS)
    return [
        *(Case("symbols", 1, count, 1) for count in symbols),
        *(Case("connectors", count, 10, count) for count in connectors),
        *(Case("connectors, one topic", count, 10, 1) for count in connectors),
        *(Case("connectors, one topic, ten frames at a time", count, 10, 1, TOGETHER) for count in connectors),
    ]


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS rounds; the cases take turns."""
    seconds, rounds = (3, 1) if quick else (10, ROUNDS)
    costs: dict[Case, list[Cost]] = {case: [] for case in cases(quick)}
    with cluster() as at:
        for number in range(rounds):
            for case, found in costs.items():
                progress(f"growth: round {number + 1} of {rounds}, {case.row}: {case.name}")
                found.append(_play(at, case, seconds))
    rows: dict[str, dict[str, Any]] = {}
    for case, found in costs.items():
        rows.setdefault(case.row, {})[case.name] = {
            "cpu_us": round(statistics.median(one.cpu_us for one in found), 2),
            "rounds": [round(one.cpu_us, 2) for one in found], "offered": round(min(one.offered for one in found)),
        }
    return {
        "rate": RATE, "seconds": seconds, "rows": rows,
        "targets": [below(f"{row}: the dearest beside the cheapest", FLAT, _spread(found), "times")
                    for row, found in rows.items() if row in ("symbols", "connectors")],
    }


def _spread(row: dict[str, Any]) -> float:
    values = [one["cpu_us"] for one in row.values()]
    return float(round(max(values) / min(values), 3))


_runs = iter(range(10_000))


def _play(at: Cluster, case: Case, seconds: int) -> Cost:
    """One process, from the first trade sent to the last one acknowledged."""
    folder = at.folder / f"growth{next(_runs)}"
    folder.mkdir()
    names = [f"copy{number}" for number in range(case.connectors)]
    tape = BinanceTape(case.symbols, 1)
    leg = Leg(RATE / case.connectors, seconds)
    feeder = Feeding(folder, tape.venue, symbols=case.symbols, tick=case.together / leg.rate)
    try:
        given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols),
                 **_lists(folder, names), "K2_ALLOW_ENV": "K2_BINANCE_API_KEY"}  # the copies have other names
        files = _copies(folder, names, case.topics)
        engine = Engine(at, files, given, streams=tape.stream)
        try:
            subscribed(engine, feeder, case.connectors, case.symbols)
            engine.quiet()
            before, total = engine.cpu, leg.frames * case.connectors
            feeder.tell(f"go legs {leg.rate:g}x{leg.seconds:g}")
            times = [feeder.hear(f"sent {tape.venue}", seconds + 60).split() for _ in names]
            engine.until(total)
            spent = engine.cpu - before
            engine.finish(total)
        finally:
            engine.stop()
    finally:
        feeder.stop()
    took = max(float(end) for _, end in times) - min(float(start) for start, _ in times)
    return Cost(spent / total * 1e6, total / took)


def _lists(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The variables by which the copies read the venue's instrument list, and ask nobody."""
    listed = load("binance").symbols.list
    assert listed is not None
    answers = [answer for one in listed.shown for answer in one.answers]
    given = {}
    for name in names:
        path = folder / f"{name}.list.json"
        path.write_bytes(saved_text(name, answers))
        given[f"{prefix_of(name)}INSTRUMENT_LIST"] = str(path)
    return given


def _copies(folder: Path, names: Sequence[str], topics: int) -> list[str]:
    """The shipped file under other names; its variables are found by the exchange's code."""
    text = find("binance").read_text(encoding="utf-8")
    assert text.count("connector: binance\n") == 1
    files = []
    for number, name in enumerate(names):
        topic = f"{folder.name}.{number % topics}"
        copy = text.replace("connector: binance\n", f"connector: {name}\n") + f'\nkafka_topic: "{topic}"\n'
        (folder / f"{name}.yaml").write_text(copy, encoding="utf-8")
        files.append(str(folder / f"{name}.yaml"))
    return files
