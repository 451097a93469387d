"""Frame to record for every stream of every shipped connector, beside the stream that costs least to compare with.

A connector's own test frames are the patterns: the mock exchange makes frames of them with new ids, times, prices and
amounts, so that none is a repeat and no cache of a text helps. Frames go through the engine as from a socket, one by
one (the way that costs most), without network and sink. A stream whose frames carry several records (a list of
trades) is counted by the record. What the connection had captured before (tables of symbols, channel numbers) is there.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.figures import below, percentile, progress
from k2conn.cli.loading import load, shipped
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Connection, Plan, Stream, Symbol
from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.frame_generator import SyntheticFrames
from k2conn.tools.mock.request_recognition import RequestedSubscription, VenueSymbols, topic_of

ROUNDS = 3
REFERENCE = ("binance", "trade")
"""The stream that all are compared with (aggTrade): one trade a frame, with all that the language has of a trade."""
BEGIN = 1_790_000_000_000_000
"""When the first frame comes, in microseconds."""
APART = (1_000, 1_000_000)
"""Microseconds between frames; the longer one where records are known by a time that the venue says in seconds."""


class Case(NamedTuple):
    """One stream to measure."""

    plan: Plan
    connection: Connection
    stream: Stream
    symbol: Symbol


class Measured(NamedTuple):
    """What one round found: records that came of the frames, and CPU microseconds for each."""

    records: int
    us: float


def run(quick: bool) -> dict[str, Any]:
    """CPU microseconds a record of each stream: the median of ROUNDS, the streams taking turns."""
    plans = [load(str(path)) for path in shipped()]
    cases = [case for plan in plans if not plan.reads_files for case in cases_of(plan)]
    frames = 150 if quick else 1500
    turns: dict[tuple[str, str], list[Measured]] = {}
    for turn in range(ROUNDS):
        for at, case in enumerate(cases):
            if at % 50 == 0:
                progress(f"connectors: round {turn + 1} of {ROUNDS}, stream {at} of {len(cases)}")
            found = measured(case, frames, turn)
            if found is not None:
                turns.setdefault((case.plan.name, case.stream.name), []).append(found)
    default = {(case.plan.name, case.stream.name): case.stream.default for case in cases}
    return _result(turns, default, len(cases))


def _result(
    turns: dict[tuple[str, str], list[Measured]], default: dict[tuple[str, str], bool], tried: int
) -> dict[str, Any]:
    costs = {key: statistics.median(one.us for one in found) for key, found in turns.items()}
    base = costs[REFERENCE]
    streams = [
        {"connector": connector, "stream": stream, "default": default[connector, stream], "us": round(us, 2),
         "beside": round(us / base, 2)}
        for (connector, stream), us in sorted(costs.items(), key=lambda item: item[1])
    ]
    shares = sorted(one["beside"] for one in streams if one["default"])
    median, late, worst = percentile(shares, 50), percentile(shares, 90), shares[-1]
    reference = " ".join(REFERENCE)
    return {
        "reference": {"connector": REFERENCE[0], "stream": REFERENCE[1], "us": round(base, 2)},
        "streams": streams,
        "not_measured": tried - len(streams),
        "rounds": ROUNDS,
        "targets": [
            below(f"default streams beside {reference}, frame to record: half of them", 1.2, median, "times"),
            below(f"default streams beside {reference}, frame to record: nine of ten", 1.6, late, "times"),
            below(f"default streams beside {reference}, frame to record: the worst", 2.5, worst, "times"),
        ],
    }


def cases_of(plan: Plan) -> list[Case]:
    """The streams of a plan, each with the first symbol that it has by default."""
    symbols = VenueSymbols(plan)
    names = [*plan.symbols.default, *(one.native for one in symbols.listed)]
    first = next((found for name in names if (found := plan.symbols.resolve(name))), None)
    if first is None:
        return []
    return [
        Case(plan, connection, plan.stream(name), first)
        for connection in plan.connections for name in connection.streams
    ]


def measured(case: Case, frames: int, turn: int) -> Measured | None:
    """One round of one stream; None where the connector's tests have no frame of it."""
    found = None
    for apart in APART:
        found, repeated = _measured(case, frames, turn, apart)
        if not repeated:
            break
    return found


def _measured(case: Case, frames: int, turn: int, apart: int) -> tuple[Measured | None, int]:
    """The same for frames so far apart, and how many records were repeats."""
    plan, connection, stream, symbol = case
    mock = MockConnection(plan, connection, VenueSymbols(plan), {}, seed=turn)
    wanted = RequestedSubscription(stream.name, symbol, topic_of(stream, symbol))
    source = mock.frame_source(wanted)
    if not isinstance(source, SyntheticFrames):
        return None, 0
    state = ConnectorState(plan, [stream.name])
    pipeline = FramePipeline(state, connection, [symbol], SessionContext(lambda: "", {}))
    session = pipeline.session
    session.begin(0, {})
    for request, answer in zip(connection.before, mock.before, strict=False):
        session.captured(request.capture, answer)
    session.scope.state.update(source.captured)
    session.open(0.0, 0)
    opening = source.open(BEGIN)
    made = [*([opening] if opening is not None else ()), *(source.next(BEGIN + apart * at) for at in range(1, frames))]
    pipeline.session.scope.state.update(source.captured)
    texts = [mock.encode(one.text) for one in made]
    found = _timed(pipeline, texts, apart)
    return found, sum(account.duplicates for account in state.ledger.accounts())


def _timed(pipeline: FramePipeline, texts: Sequence[str | bytes], apart: int) -> Measured | None:
    records, wall = 0, BEGIN
    gc.collect()
    gc.freeze()
    start = time.process_time()
    for text in texts:
        wall += apart
        envelopes, _ = pipeline.receive([text], 1.0, wall)
        records += len(envelopes)
    spent = time.process_time() - start
    gc.unfreeze()
    return Measured(records, spent / records * 1e6) if records else None
