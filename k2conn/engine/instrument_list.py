"""A venue's own instrument list taken into the symbol directory: base and quote as the venue gives them, no guess."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from k2conn import exactjson
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import InstrumentList
from k2conn.scope import Scope

MOST_AT_ONCE = 500
"""Rows that are read before others have their turn."""


def learn(listing: InstrumentList, answer: Any, symbols: SymbolDirectory) -> Generator[None, None, int]:
    """Takes every listed instrument in, and gives others a turn now and then; how many there were. RecordError where
    the answer has no list.
    """
    scope = Scope()
    scope.message = answer
    rows = listing.each(answer, scope)
    if isinstance(rows, dict):
        rows = list(rows.values())
    if not isinstance(rows, list):
        raise RecordError("list", None, None, "missing-field", "the answer has no list of instruments")
    count = 0
    for number, row in enumerate(rows, 1):
        if not number % MOST_AT_ONCE:
            yield
        if listing.when is not None and not listing.when.condition(row, scope):
            continue
        native, base, quote = (get(row, scope) for get in (listing.symbol, listing.base, listing.quote))
        if native and base and quote:
            symbols.learn(exactjson.spell(native), exactjson.spell(base), exactjson.spell(quote))
            count += 1
    return count
