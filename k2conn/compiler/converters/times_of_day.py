"""Times of the day without a date, to microseconds since the epoch: a zone's clocks and a day are declared for them.

The day is the one that the item says, or the one on which the zone's clocks showed that time *nearest* to the receipt:
just after midnight a time of 23:59:59.9 is yesterday's, and a clock that is ahead by a moment is no day behind. A feed
may be late by nearly twelve hours, then. What clocks of the zone never showed on the day that is meant (they were set
forward over it) is an error, and so is, on a day that the item says, what they showed twice, unless the connector file
says which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_FLOOR
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.decimals import EXACT
from k2conn.compiler.converters.local_times import Ambiguous, offsets
from k2conn.compiler.converters.times import time_number
from k2conn.errors import RecordError
from k2conn.plan import Getter
from k2conn.scope import Scope

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = date(1970, 1, 1).toordinal()
_MAX_US = 253402300800 * 1_000_000
"""The year 10000."""
_PLACES = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?\Z", re.ASCII)
_DATE = re.compile(r"(\d{4})(-?)(\d\d)\2(\d\d)\Z", re.ASCII)
_LONGEST = 40
_FAR_US = 13 * 3_600_000_000
"""A day has 23 to 25 hours where clocks are changed, so that a time that there was is nearer than this."""
_KNOWN = 1000

Clock = Callable[[Any], int]


def clock(unit: str) -> Clock:
    """A converter from a time of day to the microseconds that clocks show since midnight; raises RecordError."""
    return _written if unit == "iso8601" else _counted(_PLACES[unit])


def _written(value: Any) -> int:
    """``13:45``, ``13:45:01`` or ``13:45:01.123``."""
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the time is missing")
    found = _CLOCK.match(value) if type(value) is str and len(value) <= _LONGEST else None
    if not found:
        raise _bad(value, "is no time of day such as 13:45:01.123")
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise _bad(value, "is no time of day")
    return (hour * 3600 + minute * 60 + second) * 1_000_000 + int((found[4] or "0")[:6].ljust(6, "0"))


def _counted(places: int) -> Clock:
    """A number of a unit that is 10**-places of a second."""

    def counted(value: Any) -> int:
        number = time_number(value)
        micros = int(number.scaleb(6 - places, EXACT).to_integral_value(ROUND_FLOOR, EXACT))
        if not 0 <= micros < DAY_US:
            raise _bad(value, "is no time since midnight in the declared unit")
        return micros

    return counted


class ZoneDays:
    """The days of a zone, counted from 1970-01-01, and when its clocks showed what."""

    def __init__(self, zone: tzinfo, ambiguous: Ambiguous) -> None:
        self._zone = zone
        self._ambiguous = ambiguous
        self._starts: dict[int, int | None] = {}
        """When days began, microseconds since the epoch; None of days on which clocks were changed."""

    def moments(self, day: int, micros: int) -> Iterator[int]:
        """When clocks showed so much on a day: once, or twice, or never."""
        if day not in self._starts:
            if len(self._starts) >= _KNOWN:
                self._starts.clear()
            self._starts[day] = self._start(day)
        start = self._starts[day]
        if start is not None:
            yield start + micros
            return
        local = _EPOCH.replace(tzinfo=None) + timedelta(days=day, microseconds=micros)
        before, after = offsets(local, self._zone)
        if before >= after:
            shown = [before] if before == after else [before, after]
            if self._ambiguous is not None:
                shown = shown[:1] if self._ambiguous == "earlier" else shown[-1:]
            for offset in shown:
                yield day * DAY_US + micros - offset // timedelta(microseconds=1)

    def _start(self, day: int) -> int | None:
        local = _EPOCH.replace(tzinfo=None) + timedelta(days=day)
        known = {*offsets(local, self._zone), *offsets(local + timedelta(days=1), self._zone)}
        return day * DAY_US - known.pop() // timedelta(microseconds=1) if len(known) == 1 else None


def nearest(days: ZoneDays, micros: int, to_us: int) -> int:
    """The moment nearest to another one at which clocks showed a time of day; RecordError where they did not."""
    today = to_us // DAY_US
    found = [moment for day in range(today - 2, today + 3) for moment in days.moments(day, micros)]
    best = min((moment for moment in found if moment >= 0), key=lambda moment: abs(moment - to_us), default=None)
    if best is None or abs(best - to_us) > _FAR_US:
        raise RecordError(None, None, None, "bad-time", "clocks of the zone did not show this time on that day")
    return best


def on_day(days: ZoneDays, micros: int, said: Any) -> int:
    """The moment of a time of day on a day that an item says (2026-01-02 or 20260102); RecordError."""
    moments = list(days.moments(_day(said), micros))
    if not moments:
        raise RecordError(None, None, None, "bad-time", "clocks of the zone did not show this time on that day")
    if len(moments) > 1:
        detail = "clocks of the zone showed this time twice on that day: `ambiguous` says which is meant"
        raise RecordError(None, None, None, "bad-time", detail)
    if not 0 <= moments[0] < _MAX_US:
        raise _bad(said, "is out of range")
    return moments[0]


def _day(said: Any) -> int:
    if said is None or said == "":
        raise RecordError(None, None, None, "bad-time", "the date of the time is missing")
    text = str(said) if type(said) is int else said
    found = _DATE.match(text) if type(text) is str and len(text) <= _LONGEST else None
    if not found:
        raise _bad(said, "is no date such as 2026-01-02")
    try:
        return date(int(found[1]), int(found[3]), int(found[4])).toordinal() - _FIRST
    except ValueError as error:
        raise RecordError(None, None, None, "bad-time", str(error)) from None


def time_of_day_reader(
    get: Getter, unit: str, days: ZoneDays, day: Getter | None, per: int, name: str, expression: str, optional: bool,
) -> Callable[[Any, Scope], Any]:
    """A time of day as a number of units of ``per`` microseconds since the epoch; ``day``: where the item says its
    date, None: the day nearest to the receipt. Where it is ``optional``, none is None.
    """
    read_clock = clock(unit)

    def read(item: Any, scope: Scope) -> int | None:
        value = None
        try:
            value = get(item, scope)
            micros = read_clock(value)
            if day is None:
                return nearest(days, micros, scope.received_at) // per
            return on_day(days, micros, day(item, scope)) // per
        except RecordError as error:
            if optional and error.reason == "missing-field":
                return None
            raise error.at(name, expression, value) from None

    return read


def _bad(value: Any, why: str) -> RecordError:
    return RecordError(None, None, None, "bad-time", f"{exactjson.excerpt(value, 40)} {why}")
