"""Values of an entry of a venue's instrument list, to the text that is kept of them; empty where nothing is usable.

A list is read leniently: one odd entry says nothing about the others. So nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from k2conn import exactjson
from k2conn.compiler.converters.times import times
from k2conn.errors import RecordError
from k2conn.plan import Json

ListedValue = Callable[[Json], str]

LONGEST = 60
"""Characters of a number: what is longer is none."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(value: Json) -> str:
    """Text as it is, anything else in JSON spelling; lists and objects are nothing."""
    if value is None or isinstance(value, (list, dict)):
        return ""
    return value if type(value) is str else exactjson.spell(value)


def step(value: Json) -> Decimal | None:
    """A number above 0, exactly; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        found = Decimal(exactjson.excerpt(value, LONGEST + 1)) if not isinstance(value, Decimal) else value
    except InvalidOperation:
        return None
    return found if found.is_finite() and found > 0 and -LONGEST < found.adjusted() < LONGEST else None


def number(value: Json) -> str:
    """A number above 0 as digits, without an exponent."""
    found = step(value)
    return "" if found is None else format(found, "f")


def places(value: Json) -> str:
    """The step of numbers that have so many decimals: 2 is 0.01, 0 is 1."""
    count = int(value) if type(value) is str and value.isascii() and value.isdecimal() and len(value) < 3 else value
    if type(count) is not int or not 0 <= count < LONGEST:
        return ""
    return format(Decimal(1).scaleb(-count), "f")


def moment(unit: str, zone: str | None = None) -> ListedValue:
    """A time in a declared unit as ISO 8601 in UTC: ``2026-03-27T08:00:00Z``."""
    read = times(unit, zone)

    def written(value: Json) -> str:
        try:
            micros = read(value)
        except RecordError:
            return ""
        text = (_EPOCH + timedelta(microseconds=micros)).isoformat()
        return text.removesuffix("+00:00") + "Z" if micros else ""  # 0 is a venue's word for none

    return written


def named(table: dict[str, str]) -> ListedValue:
    """What a venue's word means; a word that the table does not have is nothing."""
    return lambda value: table.get(exactjson.spell(value), "") if value is not None else ""
