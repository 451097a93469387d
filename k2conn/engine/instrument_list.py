"""A venue's own instrument list taken into the symbol directory: base and quote as the venue gives them, no guess; and
what it says of tick, lot and status.
"""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal, InvalidOperation
from typing import Any

from k2conn import exactjson
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import Instrument, InstrumentList
from k2conn.scope import Scope

MOST_AT_ONCE = 500
"""Rows that are read before others have their turn."""
LONGEST_STEP = 60
"""Characters of a tick or a lot: what is longer is none."""
LONGEST_STATUS = 60


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
    described: dict[str, Instrument] = {}
    for number, row in enumerate(rows, 1):
        if not number % MOST_AT_ONCE:
            yield
        if listing.when is not None and not listing.when.condition(row, scope):
            continue
        if name := _learn(listing, row, scope, symbols):
            described[name] = _described(listing, row, scope)
            count += 1
    yield from symbols.describe(described)
    return count


def _learn(listing: InstrumentList, row: Any, scope: Scope, symbols: SymbolDirectory) -> str:
    """The venue's name of a row, what it means taken in where the list says it; empty where there is none."""
    native = listing.symbol(row, scope)
    if not native:
        return ""
    if listing.base is not None and listing.quote is not None:
        base, quote = listing.base(row, scope), listing.quote(row, scope)
        if not (base and quote):
            return ""
        symbols.learn(exactjson.spell(native), exactjson.spell(base), exactjson.spell(quote))
    return exactjson.spell(native)


def _described(listing: InstrumentList, row: Any, scope: Scope) -> Instrument:
    status = listing.status(row, scope) if listing.status is not None else None
    said = "" if status is None else exactjson.excerpt(status, LONGEST_STATUS)
    return Instrument(
        _step(listing.tick(row, scope)) if listing.tick is not None else None,
        _step(listing.lot(row, scope)) if listing.lot is not None else None,
        said, said in listing.trading if said else None,
    )


def _step(value: Any) -> Decimal | None:
    """A tick or a lot; None for what is no number above 0."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        found = Decimal(exactjson.excerpt(value, LONGEST_STEP + 1)) if not isinstance(value, Decimal) else value
    except InvalidOperation:
        return None
    return found if found.is_finite() and found > 0 and -LONGEST_STEP < found.adjusted() < LONGEST_STEP else None
