"""Where trades come from. Whoever reads them (files, a pipe, a topic) gives them batch after batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from k2conn.candles.trades import Trade


class UnreadRecord(NamedTuple):
    """A record that could not be read as a trade, or the rest of a file: where it is, why, and its beginning."""

    place: str
    reason: str
    body: bytes


class TradeBatch(NamedTuple):
    """Some trades, in the order in which they came, what could not be read among them, and how many corrections of
    trades, and what takes them back, are left out.
    """

    trades: list[Trade]
    unread: list[UnreadRecord]
    amendments: int = 0


class TradeSource(Protocol):
    """``in_order``: whether trades of all symbols come by the time, so that a later one of any symbol tells that the
    spans of all others are over, too.
    """

    in_order: bool

    def batches(self) -> AsyncIterator[TradeBatch]:
        """All there is, or for ever."""
