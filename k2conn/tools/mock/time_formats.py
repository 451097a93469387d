"""Times in the venue's own format: its unit and layout, found from the time that the plan reads from a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from k2conn.plan import Json
from k2conn.tools.mock.number_formats import is_number

Write = Callable[[int], Json]
"""From microseconds since the epoch to the venue's notation."""
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
_MICROS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400 * _MICROS
_NANOS = 19
"""Characters that a time with nanoseconds has at least."""
_QUARTER = 900 * _MICROS
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)(?:([.,])(\d{1,12}))?", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(?:([.,])(\d{1,12}))?(\s*(?:Z|z|[+-]\d\d(?::?\d\d)?)?)", re.ASCII
)


def layout(value: Json, read_us: int) -> Write | None:
    """The notation in which ``value`` is ``read_us``; None where it is unknown."""
    for write in _candidates(value, read_us):
        if _same(write(read_us), value):
            return write
    return None


def near(value: Json, event_us: int) -> tuple[Write, int] | None:
    """The notation and time of a value that is a moment within a day of ``event_us``; None for all else."""
    if isinstance(value, str) and (found := _ISO.fullmatch(value)):
        micros = _iso_micros(found)
        if abs(micros - event_us) < _DAY_US:
            return _iso(found, 0), micros
        return None
    if not is_number(value) or abs(number := Decimal(str(value))) < 10**9:
        return None
    for per_second in _PER_SECOND.values():
        micros = int(number * _MICROS / per_second)
        if abs(micros - event_us) < _DAY_US:
            return _number(value, per_second), micros
    return None


def _candidates(value: Json, read_us: int) -> list[Write]:
    if is_number(value):
        counted = [_number(value, per_second) for per_second in _PER_SECOND.values()]
        return counted + [_since_midnight(value, one, read_us) for one in _PER_SECOND.values()]
    if isinstance(value, str) and (clock := _CLOCK.fullmatch(value)):
        return [_clock(clock, read_us)]
    if isinstance(value, str) and (found := _ISO.fullmatch(value)):
        ahead = _iso_micros(found) - read_us
        return [_iso(found, ahead)] if ahead % _QUARTER == 0 and abs(ahead) < _DAY_US else []
    return []


def _number(like: Json, per_second: int) -> Write:
    """A count of units with as many decimals as ``like``, text where that is text."""
    exponent = Decimal(str(like)).as_tuple().exponent
    step = Decimal(1).scaleb(exponent if isinstance(exponent, int) and exponent < 0 else 0)

    def write(micros: int) -> Json:
        exact = (Decimal(micros) * per_second / _MICROS).quantize(step, ROUND_FLOOR)
        if isinstance(like, str):
            return format(exact, "f")
        return int(exact) if isinstance(like, int) else exact

    return write


def _since_midnight(like: Json, per_second: int, read_us: int) -> Write:
    """A count of units since a midnight that is that of a zone: as far ahead of UTC as ``like`` is of ``read_us``."""
    write = _number(like, per_second)
    ahead = (int(Decimal(str(like)) * _MICROS / per_second) - read_us) % _DAY_US
    return lambda micros: write((micros + ahead - ahead % _QUARTER) % _DAY_US)


def _clock(found: re.Match[str], read_us: int) -> Write:
    """A time of day with the same digits."""
    hours, minutes, seconds, point, digits = found.groups()
    shown = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * _MICROS
    ahead = shown - read_us + _QUARTER // 2
    ahead -= ahead % _QUARTER

    def write(micros: int) -> Json:
        moment = _EPOCH + timedelta(microseconds=micros + ahead)
        text = f"{moment:%H:%M:%S}"
        return text + (point + f"{moment.microsecond:06d}".ljust(12, "0")[: len(digits)] if point else "")

    return write


def _iso(found: re.Match[str], ahead: int) -> Write:
    """ISO 8601 with the same separators, digits and offset; ``ahead`` is how far the local time is ahead of UTC where
    the text does not say it.
    """
    _, between, _, point, digits, suffix = found.groups()
    offset = _offset(suffix) + ahead

    def write(micros: int) -> Json:
        moment = _EPOCH + timedelta(microseconds=micros + offset)
        text = f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}"
        if point:
            text += point + f"{moment.microsecond:06d}".ljust(12, "0")[: len(digits)]
        return text + suffix

    return write


def _iso_micros(found: re.Match[str]) -> int:
    day, _, clock, _, digits, suffix = found.groups()
    try:
        moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return (moment - _EPOCH) // timedelta(microseconds=1) + int((digits or "0")[:6].ljust(6, "0")) - _offset(suffix)


def _offset(suffix: str) -> int:
    text = suffix.strip()
    if text in ("", "Z", "z"):
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (minutes if text[0] == "+" else -minutes) * 60 * _MICROS


def _same(written: Json, value: Json) -> bool:
    """Equal but for the three digits that are finer than a microsecond."""
    one, other = str(written), str(value)
    differing = sum(left != right for left, right in zip(one, other, strict=False))
    return len(one) == len(other) and differing <= (3 if len(other) >= _NANOS else 0)
