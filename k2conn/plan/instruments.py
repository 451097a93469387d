"""How a venue's symbols are read, and its own list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from k2conn.plan.conditions import Match
from k2conn.plan.sending import HttpRequest
from k2conn.plan.values import Getter
from k2conn.symbols import Symbol


class Instrument(NamedTuple):
    """What a venue's list says of one instrument, beside its name; None where it says nothing."""

    tick: Decimal | None = None
    """The step of its prices."""
    lot: Decimal | None = None
    """The step of its quantities."""
    status: str = ""
    trading: bool | None = None
    """Whether its status is one in which it trades."""


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """The venue's own instrument list: the call, where its rows are, and what a row says. ``refresh`` in seconds."""

    request: HttpRequest
    each: Getter
    symbol: Getter
    base: Getter | None = None
    quote: Getter | None = None
    when: Match | None = None
    refresh: float | None = None
    tick: Getter | None = None
    lot: Getter | None = None
    status: Getter | None = None
    trading: frozenset[str] = frozenset()
    """The statuses in which an instrument trades."""

    @property
    def names(self) -> bool:
        """Whether it says what names mean, so that connections wait for it; else it is only compared with."""
        return self.base is not None

    @property
    def describes(self) -> bool:
        """Whether it says more of an instrument than its name."""
        return self.tick is not None or self.lot is not None or self.status is not None


@dataclass(frozen=True, slots=True)
class SymbolRule:
    """How native symbols are read; ``resolve`` gives None where no rule matches (never a guess)."""

    default: tuple[str, ...]
    resolve: Callable[[str], Symbol | None]
    description: str
    resolve_listed: Callable[[str, str, str], Symbol | None] = lambda native, base, quote: None
    """How a name is read whose base and quote the venue itself gives in its instrument list: (native, base, quote)."""
    list: InstrumentList | None = None
    """Where the venue's own instrument list comes from."""
    all: str = ""
    """The venue's word for all symbols in a subscription; empty where it has none."""
    unlisted: Literal["try", "refuse"] = "try"
    """What becomes of a symbol that is asked for and that the list does not have."""
