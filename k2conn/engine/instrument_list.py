"""A venue's own instrument list taken into the symbol directory: base and quote as the venue gives them, no guess; and
what it says of tick, lot and status.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import Instrument, InstrumentList, Json, ListedInstrument, ListPages, Symbol, SymbolRule
from k2conn.scope import Scope

MOST_AT_ONCE = 500
"""Rows that are read before others have their turn."""


def learn(listing: InstrumentList, answer: Any, symbols: SymbolDirectory) -> Generator[None, None, int]:
    """Takes every listed instrument in, and gives others a turn now and then; how many there were. ``answer``: of a
    list in parts, all of them, in a list. RecordError where an answer has no list.
    """
    count = 0
    described: dict[str, Instrument] = {}
    for number, found in enumerate(listed(listing, answer), 1):
        if not number % MOST_AT_ONCE:
            yield
        if found is not None and (not listing.names or symbols.learn(found.native, found.said)):
            described[found.native] = found.facts
            count += 1
    yield from symbols.describe(described)
    return count


def listed(listing: InstrumentList, answer: Any) -> Iterator[ListedInstrument | None]:
    """What each entry says; None for one that does not count. Raises RecordError where an answer has no list."""
    for part in parts_of(listing, answer):
        if listing.entries(part) is None:
            raise RecordError("list", None, None, "missing-field", "the answer has no list of instruments")
        yield from listing.instruments(part)


def parts_of(listing: InstrumentList, answer: Any) -> list[Json]:
    """The parts of what was answered: those of several calls, or pages."""
    return answer if listing.in_parts and isinstance(answer, list) else [answer]


def next_of(pages: ListPages, answer: Json) -> str:
    """What names the next page, as text; empty where there is none, or pages are numbered."""
    if pages.next is None:
        return ""
    scope = Scope()
    scope.message = answer
    value = pages.next(answer, scope)
    if isinstance(value, (dict, list)) or value is None or value is False:
        return ""
    return exactjson.spell(value)[:2000]


class InstrumentRow(NamedTuple):
    """One instrument of a list, for people and tests."""

    native: str
    symbol: Symbol | None
    """What the name means; None where neither list nor rules say."""
    facts: Instrument

    def plain(self) -> dict[str, Json]:
        """What is known of it, by the words of the language; what is not known is left out."""
        symbol, facts = self.symbol, self.facts
        found: dict[str, Json] = {"native": self.native}
        if symbol is not None:
            found |= {"symbol": symbol.record, "base": symbol.base, "quote": symbol.quote,
                      "currency": symbol.price_currency, **dict(symbol.parts)}
        found |= {"tick": facts.tick, "lot": facts.lot, "status": facts.status or None, "trading": facts.trading}
        return {name: value for name, value in found.items() if value is not None}


def instrument_rows(rule: SymbolRule, answer: Any) -> Iterator[InstrumentRow]:
    """The instruments of what the venue answered, as a connector that runs would know them. Raises RecordError where
    the answer has no list.
    """
    assert rule.list is not None
    for found in listed(rule.list, answer):
        if found is not None:
            symbol = rule.resolve_listed(found.native, found.said) if rule.list.names else None
            yield InstrumentRow(found.native, symbol or rule.resolve(found.native), found.facts)
