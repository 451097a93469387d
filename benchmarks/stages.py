"""Frame to Avro bytes, no network: the engine beside itself with interpreted expressions, and its parts one by one.

The parts are the engine's own functions, each timed alone over the same frames with what the one before it made:
*decode* (text to message, exact numbers), *route* (which rule), *map and encode* (fields, checks, id, gap tracking, the
duplicate window, vendor_data, Avro). What the whole costs beyond their sum is the rest: the socket's front
(`FramePipeline`), the accounting, and that memory is given back between them. *Without C* is the same engine in a
process of its own where K2CONN_PURE_PYTHON=1 leaves out the part in C.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.figures import at_least, below, progress
from benchmarks.tapes import BinanceTape, KrakenTape, Tape
from k2conn.cli.loading import find
from k2conn.compiler.compiler import load_plan
from k2conn.compiler.expressions.expressions import reference
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.native import Mapper
from k2conn.plan import Plan

ROUNDS = 5
PARTS = ("decode", "route", "map and encode")
RECEIVED = 1_700_000_000_000_000
"""The first frame's receipt; each later frame comes a microsecond later."""


def run(quick: bool) -> dict[str, Any]:
    """CPU microseconds per trade, medians of ROUNDS, all ways taking turns."""
    trades = 3_000 if quick else 20_000
    found = {tape.venue: _venue(tape, trades // tape.trades) for tape in _tapes()}
    if Mapper is not None:
        for name, spent in _without_c(trades).items():
            found[name]["without_c_us"] = spent
    binance, kraken = found["binance"], found["kraken"]
    return {
        **found,
        "targets": [
            below("Binance aggTrade, one trade a frame, frame to Avro bytes", 6, binance["compiled_us"], "us a trade"),
            below("Kraken v2, ten trades a frame, frame to Avro bytes", 5, kraken["compiled_us"], "us a trade"),
            at_least("Binance: interpreted beside compiled", 4, binance["ratio"], "times"),
            at_least("Kraken: interpreted beside compiled", 4, kraken["ratio"], "times"),
        ],
    }


def _tapes() -> tuple[Tape, ...]:
    return BinanceTape(10, RECEIVED // 1000), KrakenTape(10, RECEIVED // 1000)


def _without_c(trades: int) -> dict[str, float]:
    """Microseconds by venue, of a process that has no part in C."""
    progress("stages: without the part in C")
    done = subprocess.run([sys.executable, "-m", "benchmarks.stages", str(trades)], capture_output=True, check=True,
                          env={**os.environ, "K2CONN_PURE_PYTHON": "1"})
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Prints the microseconds of the whole by venue, for `_without_c`."""
    found = {}
    for tape in _tapes():
        texts = [tape.frame(number).decode() for number in range(int(sys.argv[1]) // tape.trades)]
        plan = load_plan(find(tape.venue))
        found[tape.venue] = round(statistics.median(_whole(plan, tape, texts) for _ in range(ROUNDS)), 2)
    print(json.dumps(found))


def _venue(tape: Tape, count: int) -> dict[str, Any]:
    progress(f"stages: {count * tape.trades:,} trades of {tape.venue}")
    texts = [tape.frame(number).decode() for number in range(count)]
    path = find(tape.venue)
    compiled = load_plan(path)
    with reference():
        interpreted = load_plan(path)
    times: dict[str, list[float]] = {name: [] for name in ("compiled", "interpreted", *PARTS)}
    for _ in range(ROUNDS):
        for name, plan in (("compiled", compiled), ("interpreted", interpreted)):
            times[name].append(_whole(plan, tape, texts))
        for name, spent in zip(PARTS, _parts(compiled, tape, texts), strict=True):
            times[name].append(spent)
    medians = {name: statistics.median(found) for name, found in times.items()}
    parts = {name: round(medians[name], 2) for name in PARTS}
    rest = medians["compiled"] - sum(medians[name] for name in PARTS)
    return {
        **{f"{name}_us": round(medians[name], 2) for name in ("compiled", "interpreted")},
        "trades": count * tape.trades, "trades_per_frame": tape.trades, "rounds": ROUNDS,
        "ratio": round(medians["interpreted"] / medians["compiled"], 2),
        "parts_us": {**parts, "the rest": round(rest, 2)},
    }


def _intake(plan: Plan, tape: Tape) -> FramePipeline:
    symbols = [found for name in tape.symbols if (found := plan.symbols.resolve(name))]
    pipeline = FramePipeline(
        ConnectorState(plan, [tape.stream]), plan.connections[0], symbols, SessionContext(lambda: "", {})
    )
    pipeline.session.open(0.0, 0)
    return pipeline


def _whole(plan: Plan, tape: Tape, texts: Sequence[str]) -> float:
    pipeline, made = _intake(plan, tape), 0

    def all_frames() -> None:
        nonlocal made
        for number, text in enumerate(texts):
            made += len(pipeline.receive([text], 1.0, RECEIVED + number)[0])

    spent = _timed(all_frames)
    assert made == len(texts) * tape.trades
    return spent / made * 1e6


def _parts(plan: Plan, tape: Tape, texts: Sequence[str]) -> tuple[float, ...]:
    """PARTS, in their order."""
    pipeline = _intake(plan, tape)
    session, mapping, scope = pipeline.session, pipeline.connector_state.mappings[tape.stream], pipeline.session.scope
    messages = [session.decode(text) for text in texts]
    pairs = list(zip(messages, texts, strict=True))
    made = 0

    def decode() -> None:
        for text in texts:
            session.decode(text)

    def route() -> None:
        for message in messages:
            session.router.route(message, scope)

    def take() -> None:
        nonlocal made
        for number, (message, text) in enumerate(pairs):
            scope.received_at = RECEIVED + number
            out: list[Envelope] = []
            mapping.take(message, text, scope, out)
            made += len(out)

    spent = [_timed(part) for part in (decode, route, take)]
    assert made == len(texts) * tape.trades
    return tuple(one / made * 1e6 for one in spent)


def _timed(work: Callable[[], None]) -> float:
    """CPU seconds. What was there before is kept out of the garbage collector's way: it is no part of the work."""
    gc.collect()
    gc.freeze()
    start = time.process_time()
    work()
    spent = time.process_time() - start
    gc.unfreeze()
    return spent


if __name__ == "__main__":
    main()
