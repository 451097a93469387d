"""What a process adds to its status for the board: rates, latencies, times, and the symbols that are asked for.

Several workers' figures become one by the rules that stand beside their members. Each worker gives as many symbols as
the query can need, so that the first ones of all are among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

from k2conn.clock import wall_us
from k2conn.engine.accounting.latency import BOUNDS_MS
from k2conn.merging import (
    each_by_name,
    each_in_place,
    in_shape,
    largest,
    merged,
    one_after_the_other,
    side_by_side,
    total,
)
from k2conn.monitoring.board.looks import LastRecords, Look, per_second
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.board.rows import SymbolRow, ordered, symbol_rows
from k2conn.runner import Connector, Runner
from k2conn.secret_mask import SECRETS

_NONE: tuple[Sequence[int], Sequence[int]] = ((0,) * (len(BOUNDS_MS) + 1),) * 2


class StreamFigures(TypedDict):
    """Of a stream. Times are microseconds since the epoch, 0 where there is none."""

    record: Annotated[str, side_by_side]
    symbols: Annotated[int, total]
    per_second: Annotated[float | None, total]
    exchange: Annotated[list[int], each_in_place(total)]
    """How long records took from the exchange's time to the acknowledgement: counts by the steps of the metric, of the
    time between the two looks, or of the whole run where there is only one."""
    receipt: Annotated[list[int], each_in_place(total)]
    """The same from receipt."""
    last_event_us: Annotated[int, largest]
    last_received_us: Annotated[int, largest]
    lag_us: Annotated[int, largest]
    unfilled: Annotated[int, total]
    """Gaps that were given up."""


class ConnectorFigures(TypedDict):
    """Of a connector."""

    exchange: Annotated[str, side_by_side]
    frames: Annotated[int, total]
    frames_per_second: Annotated[float | None, total]
    per_second: Annotated[float | None, total]
    dead_letter_reasons: Annotated[dict[str, int], each_by_name(total)]
    pending_backfills: Annotated[int, total]
    streams: Annotated[dict[str, StreamFigures], each_by_name(in_shape(StreamFigures))]


class BoardFigures(TypedDict):
    """Of a process."""

    over_seconds: Annotated[float | None, largest]
    """The time between the two looks that rates are of; null where nobody has looked before."""
    spool_per_second: Annotated[float | None, total]
    """Bytes by which the spool grows."""
    sink: Annotated[str, side_by_side]
    connectors: Annotated[dict[str, ConnectorFigures], each_by_name(in_shape(ConnectorFigures))]
    found: Annotated[int, total]
    """Symbols that the query names, each counted for each of its streams."""
    symbols: Annotated[list[SymbolRow], one_after_the_other]
    """The first of them, as sorted."""


def board_figures(
    runner: Runner, query: BoardQuery, looks: tuple[Look | None, Look], last: LastRecords
) -> BoardFigures:
    """Those of a runner."""
    before, now = looks
    seconds = now.at - before.at if before is not None else None
    growth = now.spool_bytes - before.spool_bytes if before is not None else 0
    found, rows = symbol_rows(runner, query, looks, last)
    made: BoardFigures = {
        "over_seconds": round(seconds, 2) if seconds is not None else None,
        "spool_per_second": round(growth / seconds, 1) if seconds else None,
        "sink": runner.sink.name,
        "connectors": {one.plan.name: _connector(one, before, now) for one in runner.connectors},
        "found": found,
        "symbols": rows,
    }
    return SECRETS.hide(made)


def merge_figures(found: Sequence[BoardFigures], query: BoardQuery) -> BoardFigures:
    """Those of several workers as one."""
    if not found:
        return {"over_seconds": None, "spool_per_second": None, "sink": "", "connectors": {}, "found": 0, "symbols": []}
    made = merged(BoardFigures, found)
    made["symbols"] = ordered(made["symbols"], query)
    return made


def _connector(connector: Connector, before: Look | None, now: Look) -> ConnectorFigures:
    ledger, name = connector.connector_state.ledger, connector.plan.name
    counts: dict[str, int] = {}
    symbols: dict[str, int] = {}
    for account in ledger.accounts():
        symbols[account.stream] = symbols.get(account.stream, 0) + 1
        if before is not None:
            grown = account.received - before.received.get(account, 0)
            counts[account.stream] = counts.get(account.stream, 0) + grown
    seconds = now.at - before.at if before is not None else 0.0
    streams: dict[str, StreamFigures] = {}
    records = {one.name: one.record for one in connector.connector_state.streams}
    wall = wall_us()
    for stream in connector.stream_names:
        exchange, receipt = _grown(before, now, (name, stream))
        streams[stream] = {
            "record": records.get(stream, ""),
            "symbols": symbols.get(stream, 0),
            "per_second": per_second(counts.get(stream, 0), seconds),
            "exchange": exchange,
            "receipt": receipt,
            **ledger.times(stream, wall),
            "unfilled": ledger.unfilled[stream],
        }
    frames = ledger.frames - (before.frames.get(name, 0) if before is not None else 0)
    return {
        "exchange": connector.plan.exchange,
        "frames": ledger.frames,
        "frames_per_second": per_second(frames, seconds),
        "per_second": per_second(sum(counts.values()), seconds),
        "dead_letter_reasons": dict(ledger.dead_reasons.most_common(20)),
        "pending_backfills": connector.backfill_worker.waiting,
        "streams": streams,
    }


def _grown(before: Look | None, now: Look, key: tuple[str, str]) -> tuple[list[int], list[int]]:
    """By how much the counts of a stream's two histograms have grown; all of them where they have not."""
    ends = now.latencies.get(key, _NONE)
    begins = before.latencies.get(key, _NONE) if before is not None else _NONE
    found = []
    for end, begin in zip(ends, begins, strict=True):
        grown = [one - other for one, other in zip(end, begin, strict=True)]
        found.append(grown if any(grown) else list(end))
    return found[0], found[1]

