"""A venue's own instrument list taken into the symbol directory: base and quote as the venue gives them, no guess; and
what it says of tick, lot and status.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import Instrument, InstrumentList, Json, ListedInstrument
from k2conn.scope import Scope

MOST_AT_ONCE = 500
"""Rows that are read before others have their turn."""


def learn(listing: InstrumentList, answer: Any, symbols: SymbolDirectory) -> Generator[None, None, int]:
    """Takes every listed instrument in, and gives others a turn now and then; how many there were. ``answer``: of a
    list in pages, all of them, in a list. RecordError where an answer has no list.
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
    for page in pages_of(listing, answer):
        rows = listing.entries(page)
        if rows is None:
            raise RecordError("list", None, None, "missing-field", "the answer has no list of instruments")
        scope = Scope()
        scope.message = page
        for row in rows:
            yield listing.read(row, scope)


def pages_of(listing: InstrumentList, answer: Any) -> list[Json]:
    """The pages of what was answered."""
    return answer if listing.pages is not None and isinstance(answer, list) else [answer]
