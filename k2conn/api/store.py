"""What answers questions: the protocol of stores, and what can go wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from k2conn.api.asked import Asked, Row
from k2conn.errors import K2Error


class TooSlow(K2Error):
    """A query did not end in time, or found no place to run: another question, or another moment."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class KnownSymbol:
    """A symbol that there are records of. ``last``: the time of the latest that was seen, microseconds since 1970."""

    symbol: str
    exchange: str
    currency: str
    asset_class: str
    kind: str
    last: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How much there is of a type. ``exact``: the count is one, else the store's own estimate."""

    kind: str
    rows: int
    exact: bool
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Traded:
    """What was traded of a symbol at one exchange in one currency. Times are microseconds since 1970."""

    exchange: str
    currency: str
    first: int
    last: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    quantity: Decimal
    trades: int


class Store(Protocol):
    """Answers questions. Every method raises Unreachable where the store is away, TooSlow where it takes too long."""

    @property
    def place(self) -> str:
        """Which store it is, for people; without what is secret."""

    async def open(self) -> None:
        """Reaches it; Unreachable or SettingsError where that fails."""

    async def records(self, asked: Asked) -> Sequence[Row]:
        """Records, the newest first: by time, then by message_id. Of those with a key the latest state of each."""

    async def traded(self, asked: Asked) -> Sequence[Traded]:
        """What the trades that are asked for (whatever their ``limit``) come to, by exchange and currency."""

    async def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """The symbols of all types, at most so many of each type."""

    async def counts(self) -> Sequence[Counted]:
        """How much there is, of each type that is there."""

    async def answers(self) -> None:
        """Whether it is there: the cheapest question."""

    async def close(self) -> None:
        """Lets it go."""


