"""The board as one document, of a process's status and what the board adds to it. Pure, and bounded: so many sockets
and errors, so many symbols as the query asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

from k2conn import exactjson
from k2conn.engine.accounting.latency import quantile_ms
from k2conn.engine.resilience.silence_detection import REASONS, SilenceState
from k2conn.monitoring.board.figures import BoardFigures, ConnectorFigures, StreamFigures
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.board.rows import SymbolRow, moment
from k2conn.monitoring.process_status import Health, ProcessStatus, WorkerStatus
from k2conn.printable import visible
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.status import ConnectionStatus, ConnectorStatus, GroupStatus, StreamStatus, TroubleStatus

SOCKETS = 20
"""Connections of a connector that are shown, the worst first."""
ERRORS = 50
"""The latest things that were wrong."""
WORDS = 20
"""What else is said of the process, lines of each kind."""
DETAIL = 500
"""Characters of an error."""


class BoardSpool(TypedDict):
    """What waits on disk."""

    state: str
    bytes: int
    max_bytes: int
    behind: int
    """Records that are on the disk only."""
    full: bool
    seconds_to_full: int | None
    """Where it goes on as in the last seconds; null where it does not grow."""


class BoardSink(TypedDict):
    """Where records go."""

    name: str
    reachable: bool | None
    queued: int
    errors: int
    last_error: str | None
    spool: BoardSpool | None


class BoardCounts(TypedDict):
    """Of a connector or a stream; see `k2conn.engine.accounting.ledger`."""

    per_second: float | None
    received: int
    published: int
    duplicates: int
    dead_letters: int
    in_flight: int
    lost: int
    gaps: int
    missing: int
    backfilled: int


class BoardConnector(BoardCounts):
    """One connector."""

    connector: str
    exchange: str
    state: str
    """A `k2conn.runner.connection_state.ConnectionState`."""
    reason: str
    """Why it is in it, where that is known."""
    frames: int
    frames_per_second: float | None
    reconnects: int
    crashes: int
    dead_letter_reasons: dict[str, int]
    reconnect_causes: dict[str, int]
    pending_backfills: int
    bad_data: list[str]
    ledger: str
    """The ledger's equation with its numbers."""
    balanced: bool
    """Whether the equation holds, for each of its streams too."""
    connections: int
    sockets: list[ConnectionStatus]
    """Some of its connections."""


class BoardLatency(TypedDict):
    """Milliseconds that half of the records, and 99 of 100, do not exceed."""

    p50: float | None
    p99: float | None


class BoardStream(BoardCounts):
    """One stream."""

    connector: str
    stream: str
    record: str
    state: str
    """live while any of its symbols is, else the worst `k2conn.engine.resilience.silence_detection.SilenceState`."""
    reason: str
    symbols: int
    silent: int
    """Of the symbols that connections carry, those of which nothing comes."""
    receipt_to_ack_ms: BoardLatency
    exchange_to_ack_ms: BoardLatency
    lag_ms: int
    last_received: str | None
    last_event: str | None
    unfilled: int
    """Gaps that were given up."""


class BoardError(TypedDict):
    """One thing that was wrong."""

    time: str
    connector: str
    stream: str
    kind: str
    reason: str
    text: str
    """What is known of it, on one line, without control characters."""


class BoardSymbols(TypedDict):
    """A part of the symbols. ``found``: how many the query names."""

    found: int
    offset: int
    limit: int
    sort: str
    rows: list[SymbolRow]


class Board(TypedDict):
    """The whole document."""

    at: str | None
    version: str
    status: Health
    ready: bool
    waiting_for: list[str]
    degraded_by: list[str]
    uptime_seconds: float | None
    memory_mb: float | None
    over_seconds: float | None
    """The seconds that rates are taken over; null, and with it all rates, where nobody has looked before."""
    per_second: float | None
    workers: NotRequired[list[WorkerStatus]]
    group: NotRequired[GroupStatus]
    """How a member of a group sees it."""
    sink: BoardSink
    connectors: list[BoardConnector]
    """All of them, whatever the query says."""
    streams: list[BoardStream]
    symbols: BoardSymbols
    errors: list[BoardError]
    """The newest first."""


def board_document(status: ProcessStatus, figures: BoardFigures, query: BoardQuery) -> Board:
    """The board of a process; streams, symbols and errors as the query says."""
    names = [name for name in status["connectors"] if query.connector in ("", name)]
    connectors = [
        _connector(name, one, figures["connectors"][name]) for name, one in status["connectors"].items()
        if name in figures["connectors"]
    ]
    rates = [one["per_second"] for one in connectors if one["per_second"] is not None]
    made: Board = {
        "at": status["timestamp"],
        "version": status["version"],
        "status": status["status"],
        "ready": status["ready"],
        "waiting_for": status["waiting_for"][:WORDS],
        "degraded_by": status["degraded_by"][:WORDS],
        "uptime_seconds": status["uptime_seconds"],
        "memory_mb": status["memory_mb"],
        "over_seconds": figures["over_seconds"],
        "per_second": round(sum(rates), 2) if rates else None,
        "sink": _sink(status, figures),
        "connectors": connectors,
        "streams": list(_streams(status, figures, names, query.stream)),
        "symbols": {
            "found": figures["found"], "offset": query.offset, "limit": query.limit, "sort": query.sort,
            "rows": figures["symbols"][query.offset : query.end],
        },
        "errors": _errors(status, names, query.stream),
    }
    if "workers" in status:
        made["workers"] = status["workers"]
    if "group" in status:
        made["group"] = status["group"]
    return made


def _sink(status: ProcessStatus, figures: BoardFigures) -> BoardSink:
    sink = cast(Mapping[str, Any], status["sink"])  # no worker may have said one
    spool, growth = sink.get("spool"), figures["spool_per_second"]
    shown: BoardSpool | None = None
    if spool:
        left = spool["max_bytes"] - spool["bytes"]
        shown = {
            "state": spool["state"], "bytes": spool["bytes"], "max_bytes": spool["max_bytes"],
            "behind": spool["behind"], "full": spool["full"],
            "seconds_to_full": round(max(0, left) / growth) if growth and growth > 0 else None,
        }
    return {
        "name": figures["sink"], "reachable": sink["reachable"], "queued": sink.get("queued", 0),
        "errors": sink.get("errors", 0), "last_error": sink.get("last_error"), "spool": shown,
    }


def _counts(said: ConnectorStatus | StreamStatus, per_second: float | None) -> BoardCounts:
    return {
        "per_second": per_second, "received": said["received"], "published": said["published"],
        "duplicates": said["duplicates"], "dead_letters": said["dead_letters"], "in_flight": said["in_flight"],
        "lost": said["lost"], "gaps": said["gaps"], "missing": said["missing"], "backfilled": said["backfilled"],
    }


def _connector(name: str, said: ConnectorStatus, figures: ConnectorFigures) -> BoardConnector:
    sockets = sorted(said["sockets"], key=lambda one: -ConnectionState(one["state"]).grade)
    worst = next((one for one in sockets if one["state"] != ConnectionState.LIVE), None)
    return {
        **_counts(said, figures["per_second"]),
        "connector": name,
        "exchange": figures["exchange"],
        "state": said["state"],
        "reason": said["detail"] or (worst["detail"] if worst is not None else ""),
        "frames": figures["frames"],
        "frames_per_second": figures["frames_per_second"],
        "reconnects": sum(said["reconnect_causes"].values()),
        "crashes": said["crashes"],
        "dead_letter_reasons": figures["dead_letter_reasons"],
        "reconnect_causes": said["reconnect_causes"],
        "pending_backfills": figures["pending_backfills"],
        "bad_data": said["bad_data"][:WORDS],
        "ledger": said["ledger"],
        "balanced": min(one["in_flight"] for one in (said, *said["streams"].values())) >= 0,
        "connections": len(sockets),
        "sockets": sockets[:SOCKETS],
    }


def _streams(
    status: ProcessStatus, figures: BoardFigures, names: Sequence[str], wanted: str
) -> Iterator[BoardStream]:
    for name in names:
        added = figures["connectors"][name]["streams"] if name in figures["connectors"] else {}
        for stream, said in status["connectors"][name]["streams"].items():
            if stream in added and wanted in ("", stream):
                yield _stream(name, stream, said, added[stream])


def _stream(name: str, stream: str, said: StreamStatus, figures: StreamFigures) -> BoardStream:
    silent = sum(number for state, number in said["states"].items() if SilenceState(state).silent)
    all_silent = bool(said["states"]) and silent == sum(said["states"].values())
    best = min(map(SilenceState, said["states"]), key=lambda state: state.grade, default=None)
    state = SilenceState.worst(said["states"]) if all_silent else best
    return {
        **_counts(said, figures["per_second"]),
        "connector": name,
        "stream": stream,
        "record": figures["record"],
        "state": str(state or ""),
        "reason": REASONS.get(state, "") if state is not None else "",
        "symbols": figures["symbols"],
        "silent": silent,
        "receipt_to_ack_ms": _latency(figures["receipt"]),
        "exchange_to_ack_ms": _latency(figures["exchange"]),
        "lag_ms": figures["lag_us"] // 1000,
        "last_received": moment(figures["last_received_us"]),
        "last_event": moment(figures["last_event_us"]),
        "unfilled": figures["unfilled"],
    }


def _latency(counts: Sequence[int]) -> BoardLatency:
    p50, p99 = quantile_ms(counts, 0.5), quantile_ms(counts, 0.99)
    return {"p50": None if p50 is None else round(p50, 1), "p99": None if p99 is None else round(p99, 1)}


def _errors(status: ProcessStatus, names: Sequence[str], stream: str) -> list[BoardError]:
    found = [
        _error(name, one) for name in names for one in status["connectors"][name]["troubles"]
        if stream in ("", one["stream"])
    ]
    return sorted(found, key=lambda one: one["time"], reverse=True)[:ERRORS]


def _error(name: str, one: TroubleStatus) -> BoardError:
    words = ", ".join(f"{key} {exactjson.spell(value)}" for key, value in one["detail"].items())
    return {
        "time": one["time"], "connector": name, "stream": one["stream"], "kind": one["kind"],
        "reason": one["reason"], "text": visible(words[:DETAIL])[:DETAIL],
    }
