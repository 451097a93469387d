"""Exchange times to integer microseconds since the epoch, UTC; unit and zone are declared, never guessed from the
magnitude.

Integers and text are taken exactly; what is finer than a microsecond is cut (floor), as the field's type demands.
Settled: a time before 1970 or after 9999 is a wrong unit, a venue's "no time yet" (``0001-01-01T00:00:00Z``) or a
bug, never a trade's time; so it is an error rather than a record with a wrong time. A number that lands in the year
1970 is seconds that were declared as milliseconds, or the like: an error, too, where the record must have the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_FLOOR, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from k2conn import exactjson
from k2conn.compiler.converters.decimals import EXACT, read_number
from k2conn.compiler.converters.local_times import Ambiguous, local_offset, steady_minute
from k2conn.errors import RecordError
from k2conn.plan import FastConversion
from k2conn.records import TIMES

UNITS = ("s", "ms", "us", "ns", "iso8601")
_PLACES = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_US = 253402300800 * 1_000_000
"""The year 10000."""
PLAUSIBLE = 31_536_000 * 1_000_000
"""The year 1971, in microseconds. All that a unit too fine makes of a time of today is before it; see `_too_fine`."""
_FIRST, _LAST = 1_000_000_000, 4_102_444_800
"""Seconds of 2001 and 2100: between them is a time of today."""
_TOO_FINE = tuple((_FIRST * per // 1000, _LAST * per // 1000) for per in (1, 1000, 1_000_000))
"""The microseconds that such a time becomes by a unit that is 10**9, 10**6 or 1000 times too fine."""
_LONGEST = 40
_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,12}))?(Z|z|[+-]\d{2}(?::?\d{2})?)?\Z",
    re.ASCII,
)
_MINUTE = 17
"""Characters of a time up to its minute, with the colon behind it."""
_WITHIN = re.compile(r"([0-5]\d)(?:\.(\d{1,12}))?\Z", re.ASCII)
"""What may stand behind them in a local time: no leap second, and no offset."""
_KNOWN = 10_000
"""Minutes that are remembered."""
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})\Z", re.ASCII)

Times = Callable[[Any], int]


def times(unit: str, zone: str | None = None, ambiguous: Ambiguous = None, least: int = 0) -> Times:
    """A converter from the exchange's time to microseconds; raises RecordError, for a number also where it is less than
    ``least`` microseconds.

    ``unit`` is one of UNITS. ``zone`` (an IANA name) is only for iso8601 times written without an offset; without it
    such a time is an error. ``ambiguous``: which of two moments a local time means that came twice; None: an error.
    """
    if unit == "iso8601":
        if zone and zone != "UTC":
            return LocalTimes(ZoneInfo(zone), ambiguous)
        return _iso(UTC if zone else None)
    if unit in ("ms", "us"):
        return _whole(1000 if unit == "ms" else 1, _exact(_PLACES[unit], least), least)
    return _exact(_PLACES[unit], least)


def times_in(
    kind: str, unit: str, zone: str | None = None, ambiguous: Ambiguous = None, least: int = 0
) -> Times:
    """The same for a field of one of the kinds in TIMES: the number that it holds. What is finer is cut."""
    convert, per = times(unit, zone, ambiguous, least), TIMES[kind]
    if per == 1:
        return convert
    if kind == "date" and unit == "iso8601":
        return lambda value: _day(value) if type(value) is str and len(value) == 10 else convert(value) // per
    return lambda value: convert(value) // per


def _day(text: str) -> int:
    """The day of a date that is written without a time."""
    found = _DAY.match(text)
    if not found:
        raise RecordError(None, None, None, "bad-time", f"'{text}' is not an ISO 8601 date")
    try:
        days = date(*map(int, found.groups())).toordinal() - _EPOCH.toordinal()
    except ValueError as error:
        raise RecordError(None, None, None, "bad-time", str(error)) from None
    return days if days >= 0 else _out_of_range(text)


def nanoseconds(unit: str, zone: str | None = None, ambiguous: Ambiguous = None, least: int = 0) -> Times:
    """A converter from the exchange's time to the nanoseconds beyond its microseconds, 0 to 999: what `times` cuts.
    It refuses what `times` refuses.
    """
    micros = times(unit, zone, ambiguous, least)

    def remainder(value: Any) -> int:
        micros(value)
        if unit != "iso8601":
            number = read_number(value).scaleb(9 - _PLACES[unit], EXACT)
            return int(number.to_integral_value(ROUND_FLOOR, EXACT)) % 1000
        found = _ISO.match(value)
        assert found is not None
        return int((found[7] or "")[6:9].ljust(3, "0"))

    return remainder


def plain_time(unit: str, kind: str = "timestamp-micros", least: int = 0) -> FastConversion | None:
    """How `times_in` converts the common forms of a unit, as data; None where only the Python converter can."""
    if kind == "timestamp-millis" and unit == "ms":
        return FastConversion("whole", below=_MAX_US // 1000, least=least // 1000)
    if TIMES[kind] > 1:
        return None
    if unit in ("ms", "us"):
        return FastConversion("whole", factor=1000 if unit == "ms" else 1, below=_MAX_US, least=least)
    if unit == "iso8601":
        return FastConversion("time")
    places = 6 - _PLACES[unit]
    return FastConversion("cut", places, 10 ** max(places, 0), _MAX_US, least=least)


def _whole(factor: int, slow: Times, least: int) -> Times:
    """Whole numbers (or their digits) of a unit not finer than a microsecond; ``slow`` takes all others."""

    def whole(value: Any) -> int:
        if type(value) is int:
            number = value * factor
        elif type(value) is str and len(value) <= _LONGEST and value.isdecimal() and value.isascii():
            number = int(value) * factor
        else:
            return slow(value)
        return number if least <= number < _MAX_US else slow(value)

    return whole


def time_number(value: Any) -> Decimal:
    """The number that a time is written as; raises RecordError."""
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the time is missing")
    try:
        return read_number(value)
    except RecordError as error:
        raise RecordError(None, None, None, "bad-time", error.detail) from None


def _exact(places: int, least: int) -> Times:
    """Any number of a unit that is 10**-places of a second."""

    def exact(value: Any) -> int:
        number = time_number(value)
        if number < 0:
            _out_of_range(value)
        micros = int(number.scaleb(6 - places, EXACT).to_integral_value(ROUND_FLOOR, EXACT))
        if micros >= _MAX_US:
            _out_of_range(value)
        return _too_early(value) if micros < least and _too_fine(micros) else micros

    return exact


class LocalTimes:
    """Times of a zone whose clocks may be changed. The next rows are mostly in a minute that was seen before: what it
    began at is remembered, unless clocks were changed within it.
    """

    def __init__(self, zone: tzinfo, ambiguous: Ambiguous) -> None:
        self._zone = zone
        self._read = _iso(zone, ambiguous)
        self.minutes: dict[str, int] = {}
        """The microseconds of times' first 17 characters, up to the colon behind the minute."""

    def __call__(self, value: Any) -> int:
        """The microseconds since the epoch."""
        if type(value) is str and (start := self.minutes.get(value[:_MINUTE])) is not None:
            within = _WITHIN.match(value, _MINUTE)
            if within is not None:
                return start + _micros_within(*within.groups())
        number = self._read(value)
        self._remember(value, number)
        return number

    def _remember(self, value: str, number: int) -> None:
        within = _WITHIN.match(value, _MINUTE)
        if within is None or value[:_MINUTE] in self.minutes:
            return
        if len(self.minutes) >= _KNOWN:
            self.minutes.clear()
        if steady_minute(datetime.fromisoformat(value[:_MINUTE - 1]), self._zone):
            self.minutes[value[:_MINUTE]] = number - _micros_within(*within.groups())


def _micros_within(seconds: str, fraction: str | None) -> int:
    """The microseconds since a minute began; what is finer is cut."""
    return int(seconds) * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))


def _iso(zone: tzinfo | None, ambiguous: Ambiguous = None) -> Times:
    seconds: dict[str, int] = {}
    """The epoch microseconds at which recent seconds began: the next trades are in the same one."""

    def iso(value: Any) -> int:
        if type(value) is str and len(value) == 27 and value[26] == "Z":
            start = seconds.get(value[:19])
            digits = value[20:26]
            if start is not None and value[19] == "." and digits.isdecimal() and digits.isascii():
                return start + int(digits)
        return read(value)

    def read(value: Any) -> int:
        if type(value) is not str or not value:
            reason = "missing-field" if value is None or value == "" else "bad-time"
            raise RecordError(None, None, None, reason, "not an ISO 8601 time")
        found = _ISO.match(value) if len(value) <= _LONGEST else None
        if not found:
            raise RecordError(None, None, None, "bad-time", f"'{value[:40]}' is not an ISO 8601 time")
        number = _micros(found, zone, ambiguous)
        if not 0 <= number < _MAX_US:
            _out_of_range(value)
        micros, offset = found[7], found[8]
        if offset == "Z" and micros is not None and len(micros) == 6 and found[6] != "60":
            if len(seconds) > 64:
                seconds.clear()
            seconds[value[:19]] = number - int(micros)  # by what was matched, and not by where it ought to be
        return number

    return iso


def _micros(found: re.Match[str], zone: tzinfo | None, ambiguous: Ambiguous) -> int:
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    leap = int(second) == 60
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second))
        own = _zone(offset, zone)
        if offset is None:
            own = timezone(local_offset(moment, own, ambiguous))
        whole = (moment.replace(tzinfo=own) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise RecordError(None, None, None, "bad-time", str(error)) from None
    return whole + leap * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))


def _zone(offset: str | None, zone: tzinfo | None) -> tzinfo:
    if offset is None:
        if zone is None:
            detail = "the time has no offset and the spec names no `zone`"
            raise RecordError(None, None, None, "bad-time", detail)
        return zone
    if offset in "Zz":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    if digits[2:] >= "60":
        raise ValueError("an offset's minutes are below 60")
    delta = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(delta if offset[0] == "+" else -delta)


def _out_of_range(value: Any) -> int:
    detail = f"{exactjson.excerpt(value, 40)} is out of range for the declared unit"
    raise RecordError(None, None, None, "bad-time", detail)


def _too_fine(micros: int) -> bool:
    """Whether a time of 1970 is none, or what a wrong unit makes of one of today. Others are taken for what they say:
    examples of documentation, and clocks that count from their start.
    """
    return micros == 0 or any(first <= micros < last for first, last in _TOO_FINE)


def _too_early(value: Any) -> int:
    detail = f"{exactjson.excerpt(value, 40)} is in the year 1970 by the declared unit, which is too fine"
    raise RecordError(None, None, None, "bad-time", detail)
