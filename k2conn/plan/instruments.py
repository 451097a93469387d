"""How a venue's symbols are read, and its own list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from k2conn.plan.conditions import Match
from k2conn.plan.sending import HttpRequest
from k2conn.plan.values import Getter
from k2conn.symbols import Symbol


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """The venue's own instrument list: the call, where its rows are, and what a row says. ``refresh`` in seconds."""

    request: HttpRequest
    each: Getter
    symbol: Getter
    base: Getter
    quote: Getter
    when: Match | None = None
    refresh: float | None = None


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
