"""Frame to Avro bytes, no network: the engine beside itself with interpreted expressions, in one run."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.tapes import BinanceTape, KrakenTape, Tape
from k2conn.cli.loading import find
from k2conn.engine.intake import Books, Intake
from k2conn.engine.session import World
from k2conn.plan import Plan
from k2conn.spec.compiler import load_plan
from k2conn.spec.expressions import reference

ROUNDS = 5


def run(quick: bool) -> dict[str, Any]:
    """CPU microseconds per trade, medians of ROUNDS, compiled and interpreted rounds taking turns."""
    frames = 3_000 if quick else 20_000
    return {tape.venue: _venue(tape, frames // tape.trades) for tape in (BinanceTape(10, 1), KrakenTape(10, 1))}


def _venue(tape: Tape, count: int) -> dict[str, Any]:
    texts = [tape.frame(number).decode() for number in range(count)]
    path = find(tape.venue)
    compiled = load_plan(path)
    with reference():
        interpreted = load_plan(path)
    times: dict[str, list[float]] = {"compiled": [], "interpreted": []}
    for _ in range(ROUNDS):
        for name, plan in (("compiled", compiled), ("interpreted", interpreted)):
            times[name].append(_round(plan, tape, texts))
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {**{f"{name}_us": round(value, 2) for name, value in medians.items()}, "trades": count * tape.trades,
            "ratio": round(medians["interpreted"] / medians["compiled"], 2)}


def _round(plan: Plan, tape: Tape, texts: list[str]) -> float:
    books = Books(plan, [tape.stream])
    symbols = [found for name in tape.symbols if (found := plan.symbols.resolve(name))]
    intake = Intake(books, plan.connections[0], symbols, World(lambda: "", {}))
    intake.session.open(0.0, 0)
    made = 0
    start = time.process_time()
    for number, text in enumerate(texts):
        made += len(intake.receive(text, 1.0, 1_700_000_000_000_000 + number)[0])
    spent = time.process_time() - start
    assert made == len(texts) * tape.trades
    return spent / made * 1e6
