"""Exchange times to integer microseconds since the epoch, UTC; the unit and the zone are said, never guessed by size.

Integers and text are taken exactly; what is finer than a microsecond is cut (floor), as the field's type demands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from k2conn.errors import RecordError
from k2conn.spec.decimals import read_number

UNITS = ("s", "ms", "us", "ns", "iso8601")
_PER_SECOND = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_US = 253402300800 * 1_000_000
"""The year 10000: a time beyond it is a wrong unit."""
_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,12}))?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?\Z", re.ASCII
)

Times = Callable[[Any], int]


def times(unit: str, zone: str | None = None) -> Times:
    """A converter from the exchange's time to microseconds; raises RecordError.

    ``unit`` is one of UNITS. ``zone`` (an IANA name) is only for iso8601 times written without an offset; without it
    such a time is an error.
    """
    if unit == "iso8601":
        return _iso(ZoneInfo(zone) if zone and zone != "UTC" else UTC if zone else None)
    if unit == "us":
        return _whole(1)
    if unit == "ms":
        return _whole(1000)
    if unit == "ns":
        return _nanos
    return _decimal_time(_PER_SECOND[unit])


def _whole(factor: int) -> Times:
    slow = _decimal_time(3 if factor == 1000 else 6)

    def whole(value: Any) -> int:
        if type(value) is int:
            number = value * factor
        elif type(value) is str and value.isdecimal() and value.isascii():
            number = int(value[:40]) * factor
        else:
            return slow(value)
        return number if 0 <= number < _MAX_US else _out_of_range(value)

    return whole


def _nanos(value: Any) -> int:
    if type(value) is int or type(value) is str and value.isdecimal() and value.isascii():
        number = int(value if type(value) is int else value[:40]) // 1000
        return number if 0 <= number < _MAX_US else _out_of_range(value)
    return _decimal_time(9)(value)


def _decimal_time(places: int) -> Times:
    def seconds(value: Any) -> int:
        if value is None or value == "":
            raise RecordError(None, None, None, "missing-field", "the time is missing")
        try:
            exact = read_number(value)
        except RecordError as error:
            raise RecordError(None, None, None, "bad-time", error.detail) from None
        number = int(exact.scaleb(6 - places) // Decimal(1))
        return number if 0 <= number < _MAX_US else _out_of_range(value)

    return seconds


def _iso(zone: Any) -> Times:
    days: dict[str, int] = {}

    def iso(value: Any) -> int:
        if type(value) is str and len(value) == 27 and value[26] == "Z" and value[10] == "T":
            start = days.get(value[:17])
            digits = value[17:19] + value[20:26]
            if start is not None and value[19] == "." and digits.isdecimal() and digits < "60":
                return start + int(digits)
        return read(value)

    def read(value: Any) -> int:
        if type(value) is not str:
            reason = "missing-field" if value is None else "bad-time"
            raise RecordError(None, None, None, reason, "not an ISO 8601 time")
        found = _ISO.match(value.strip())
        if not found:
            raise RecordError(None, None, None, "bad-time", f"'{value[:40]}' is not an ISO 8601 time")
        number = _micros(found, zone)
        if len(value) == 27 and value[26] == "Z" and value[10] == "T" and value[17:19] < "60":
            if len(days) > 64:
                days.clear()
            days[value[:17]] = number - int(value[17:19] + value[20:26])
        return number

    return iso


def _micros(found: re.Match[str], zone: Any) -> int:
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    leap = int(second) == 60
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second))
        moment = moment.replace(tzinfo=_zone(offset, zone)) + timedelta(seconds=leap)
        whole = (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise RecordError(None, None, None, "bad-time", str(error)) from None
    return whole + int((fraction or "0")[:6].ljust(6, "0"))


def _zone(offset: str | None, zone: Any) -> Any:
    if offset is None:
        if zone is None:
            raise RecordError(None, None, None, "bad-time", "the time has no offset and the spec names no zone")
        return zone
    if offset in "Zz":
        return UTC
    digits = offset[1:].replace(":", "").ljust(4, "0")
    delta = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return _fixed(delta if offset[0] == "+" else -delta)


def _fixed(delta: timedelta) -> Any:
    from datetime import timezone

    return timezone(delta)


def _out_of_range(value: Any) -> int:
    raise RecordError(None, None, None, "bad-time", f"{str(value)[:40]} is out of range for the declared unit")
