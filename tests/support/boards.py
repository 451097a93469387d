"""A board of fixed figures, with names and texts as a hostile venue might give them, and a source that gives it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Any, cast

from k2conn.errors import TransportError
from k2conn.monitoring.board.document import Board
from k2conn.monitoring.board.query import BoardQuery

HOSTILE = "[red]X[/]\x1b[31m\u202eEVIL\n[@click=app.bell]y[/]"
"""Markup, an escape code, a turn of direction, a line end, a link."""

_COUNTS = {"received": 1240, "published": 1234, "duplicates": 5, "dead_letters": 1, "in_flight": 0, "lost": 0,
           "gaps": 2, "missing": 7, "backfilled": 3}
_LATENCY = {"p50": 1.25, "p99": 48.0}


def symbol(connector: str, stream: str, name: str, rate: float | None = 12.5, **more: Any) -> dict[str, Any]:
    return {
        "connector": connector, "stream": stream, "symbol": name, "state": "live", "reason": "", "per_second": rate,
        **_COUNTS, "lag_ms": 42, "last_received": "2026-01-02T03:04:03.500Z", "last_event": "2026-01-02T03:04:03.458Z",
        "fields": {"price": "64000.10", "quantity": "0.25", "side": "SELL"}, **more,
    }


def fixed_board(**more: Any) -> Board:
    """Two connectors, one of which waits."""
    names = ("alpha", "beta")
    connectors = [
        {"connector": name, "exchange": name.upper(), "state": state, "reason": reason, "per_second": rate, **_COUNTS,
         "frames": 99, "frames_per_second": rate, "reconnects": 3, "crashes": 0,
         "dead_letter_reasons": {"bad-number": 1}, "reconnect_causes": {"closed": 3}, "pending_backfills": 0,
         "bad_data": [], "ledger": "received 1240 = published 1234 + duplicates 5 + dead letters 1 + in flight 0 + lost"
         " 0", "balanced": True, "connections": 1, "sockets": []}
        for name, state, reason, rate in (
            ("alpha", "live", "", 1234.56), ("beta", "waiting", f"attempt 3 in 4 s {HOSTILE}", None))
    ]
    streams = [
        {"connector": name, "stream": stream, "record": stream, "state": "live", "reason": "", "per_second": 17.0,
         **_COUNTS, "symbols": 2, "silent": 0, "receipt_to_ack_ms": _LATENCY, "exchange_to_ack_ms": _LATENCY,
         "lag_ms": 42, "last_received": "2026-01-02T03:04:03.500Z", "last_event": None, "unfilled": 0}
        for name in names for stream in ("quote", "trade")
    ]
    rows = [symbol("alpha", "trade", "BTCUSD"), symbol("alpha", "trade", HOSTILE, 3.0),
            symbol("beta", "quote", "ETHUSD", None, state="no-data", reason="acknowledged, but no first data",
                   fields={"bid_price": HOSTILE})]
    made: dict[str, Any] = {
        "at": "2026-01-02T03:04:05+00:00", "version": "9.9.9", "status": "degraded", "ready": False,
        "waiting_for": [f"beta/main-0 {HOSTILE}"], "degraded_by": [], "uptime_seconds": 3725.5, "memory_mb": 80.25,
        "over_seconds": 5.0, "per_second": 1234.56,
        "sink": {"name": "kafka", "reachable": False, "queued": 12, "errors": 4, "last_error": f"no broker {HOSTILE}",
                 "spool": {"state": "spooling", "bytes": 5_000_000, "max_bytes": 1 << 30, "behind": 1200,
                           "full": False, "seconds_to_full": 7300}},
        "connectors": connectors, "streams": streams,
        "symbols": {"found": len(rows), "offset": 0, "limit": 200, "sort": "symbol", "rows": rows},
        "errors": [
            {"time": "2026-01-02T03:04:04+00:00", "connector": "alpha", "stream": "trade", "kind": "dead letter",
             "reason": "bad-number", "text": f"value {HOSTILE}"},
            {"time": "2026-01-02T03:04:01+00:00", "connector": "beta", "stream": "-", "kind": "unknown message",
             "reason": "", "text": "frame {}"},
        ],
    }
    return cast(Board, {**made, **more})


class FixedBoard:
    """Gives one board, as long as it is not ``away``; remembers what it was asked for."""

    where = "a test"

    def __init__(self, board: Board | None = None) -> None:
        self.given = board or fixed_board()
        self.away = False
        self.asked: list[BoardQuery] = []
        self.tapped: list[dict[str, str]] = []

    async def board(self, query: BoardQuery) -> Board:
        self.asked.append(query)
        if self.away:
            raise TransportError("http", f"no k2conn answers at a test: {HOSTILE}")
        return self.given

    async def passing(self, **wanted: str) -> AsyncIterator[dict[str, Any]]:
        self.tapped.append(wanted)
        for kind in wanted["kind"].split(","):
            if kind == "record":
                yield {"kind": "record", "connector": "alpha", "stream": "trade", "symbol": HOSTILE,
                       "record": {"price": "64000.10", "side": "SELL"}}
            elif kind == "received":
                text = f'{{"frame": "{HOSTILE}"}}'
                yield {"kind": "received", "connector": "alpha", "socket": "main-0", "text": text}
        raise TransportError("http", "the tap is closed")


def text_of_picture(svg: str) -> str:
    """The lines of a picture that textual makes of its screen."""
    width = 12.2
    lines: dict[int, str] = {}
    for x, number, words in re.findall(r'<text[^>]* x="([\d.]+)"[^>]*line-(\d+)\)">(.*?)</text>', svg, re.DOTALL):
        text = html.unescape(words).replace("\u00a0", " ")
        before = lines.get(int(number), "")
        lines[int(number)] = before.ljust(round(float(x) / width)) + text
    return "".join(f"{lines.get(at, '').rstrip()}\n" for at in range(max(lines) + 1))
