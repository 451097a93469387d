"""What each page of the console shows, made of the board: little where a page needs little."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict
from urllib.parse import parse_qsl

from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.monitoring.board.document import Board, BoardConnector, BoardError, BoardStream
from k2conn.monitoring.board.query import MOST, BoardQuery, asked_board
from k2conn.monitoring.console.diagnosis import Diagnosis, Grade, diagnosed
from k2conn.monitoring.process_status import AnomalyReport, DriftReport
from k2conn.monitoring.requests import BadRequest

PAGES = ("overview", "connector", "symbol")
ERRORS = 20
SYMBOLS = 25
"""Rows of a connector's page."""
LONGEST = 200
ODD = 30
"""Odd records that a page shows, the latest."""
DRIFTS = 30


@dataclass(frozen=True, slots=True)
class PageQuery:
    """A page, and the part of the board that it needs. ``symbol``: the one whose page it is."""

    page: str
    board: BoardQuery
    symbol: str = ""


class OverviewRow(Diagnosis):
    """A connector among others. Times are ISO 8601, UTC."""

    connector: str
    exchange: str
    state: str
    per_second: float | None
    frames_per_second: float | None
    p50: float | None
    p99: float | None
    """Of its slowest stream, from the exchange's time to the acknowledgement, in milliseconds."""
    last_received: str | None
    published: int
    dead_letters: int
    gaps: int
    missing: int
    reconnects: int
    symbols: int
    silent: int
    drift: int
    odd: int
    """How many odd records are known of, of the latest."""
    """Changes of its venue's messages."""


class Overview(TypedDict):
    """The first page."""

    board: dict[str, Any]
    """What the board says of the process."""
    rows: list[OverviewRow]
    totals: dict[str, int]
    errors: list[BoardError]


def asked_page(query: str) -> PageQuery:
    """The query of a request; BadRequest with what is wrong with it."""
    said = dict(parse_qsl(query, keep_blank_values=True)[:20])
    page = said.pop("page", "overview")
    if page not in PAGES:
        raise BadRequest(400, f"page: there are {', '.join(PAGES)}")
    if page == "overview":
        return PageQuery(page, BoardQuery(limit=1))
    if not said.get("connector"):
        raise BadRequest(400, "connector: which one?")
    if page == "symbol":
        symbol = said.get("symbol", "")
        if not symbol or len(symbol) > LONGEST:
            raise BadRequest(400, "symbol: which one?")
        return PageQuery(page, BoardQuery(connector=said["connector"][:LONGEST], symbol=symbol, limit=MOST), symbol)
    asked = asked_board("&".join(one for one in query.split("&") if not one.startswith("page=")))
    return PageQuery(page, replace(asked, limit=min(asked.limit, SYMBOLS)))


def page_of(query: PageQuery, board: Board, drift: DriftReport, anomalies: AnomalyReport) -> dict[str, Any]:
    """What the page shows now."""
    if query.page == "overview":
        return {"overview": overview(board, drift, anomalies)}
    one = next((one for one in board["connectors"] if one["connector"] == query.board.connector), None)
    if one is None:
        return {"missing": {"connector": query.board.connector}}
    shown: dict[str, Any] = {
        "board": _process(board), "connector": one, "streams": board["streams"],
        **diagnosed(board, one, board["streams"]),
    }
    odd = anomalies.get(one["connector"], [])
    if query.page == "symbol":
        rows = [row for row in board["symbols"]["rows"] if row["symbol"] == query.symbol]
        own = [one for one in odd if one["symbol"] == query.symbol]
        return {"symbol": {**shown, "rows": rows}, "odd": {"found": len(own), "records": own[-ODD:]}}
    changes = drift.get(one["connector"], [])
    return {
        "connector": {**shown, "symbols": board["symbols"], "errors": _errors(board)},
        "drift": {"found": len(changes), "changes": changes[-DRIFTS:]},
        "odd": {"found": len(odd), "records": odd[-ODD:]},
    }


def overview(board: Board, drift: DriftReport, anomalies: AnomalyReport) -> Overview:
    """The first page, the worst connectors first."""
    of: dict[str, list[BoardStream]] = {}
    for stream in board["streams"]:
        of.setdefault(stream["connector"], []).append(stream)
    rows = [_row(board, one, of.get(one["connector"], []), drift, anomalies) for one in board["connectors"]]
    rows.sort(key=lambda row: (-Grade(row["grade"]).grade, row["connector"]))
    names = ("received", "published", "duplicates", "dead_letters", "in_flight", "lost", "gaps", "missing")
    totals = {name: sum(one[name] for one in board["connectors"]) for name in names}  # type: ignore[literal-required]
    return {"board": _process(board), "rows": rows, "totals": totals, "errors": _errors(board)}


def _errors(board: Board) -> list[BoardError]:
    """The newest first, without gaps, which a page shows on a time line."""
    return [one for one in board["errors"] if one["kind"] != TroubleKind.GAP][:ERRORS]


def _process(board: Board) -> dict[str, Any]:
    left = ("connectors", "streams", "symbols", "errors")
    return {name: value for name, value in board.items() if name not in left}


def _row(
    board: Board, one: BoardConnector, streams: Sequence[BoardStream], drift: DriftReport, anomalies: AnomalyReport
) -> OverviewRow:
    latencies = [stream["exchange_to_ack_ms"] for stream in streams]
    return {
        **diagnosed(board, one, streams),
        "connector": one["connector"],
        "exchange": one["exchange"],
        "state": one["state"],
        "per_second": one["per_second"],
        "frames_per_second": one["frames_per_second"],
        "p50": most(said["p50"] for said in latencies),
        "p99": most(said["p99"] for said in latencies),
        "last_received": max((stream["last_received"] or "" for stream in streams), default="") or None,
        "published": one["published"],
        "dead_letters": one["dead_letters"],
        "gaps": one["gaps"],
        "missing": one["missing"],
        "reconnects": one["reconnects"],
        "symbols": sum(stream["symbols"] for stream in streams),
        "silent": sum(stream["silent"] for stream in streams),
        "drift": len(drift.get(one["connector"], ())),
        "odd": len(anomalies.get(one["connector"], ())),
    }


def most(values: Iterable[float | None]) -> float | None:
    """The largest of those that are known."""
    return max((one for one in values if one is not None), default=None)
