"""Ids that a venue gives anew: for each of its markets, or each day. What they are unique within is part of a record's
identity, so that two trades of one number are two, and a trade that comes again is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from k2conn.plan import Stream
from k2conn.records import RecordType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN = 10_000_000
"""Microseconds of ten seconds: since 1970 no zone's day has begun within such a span (Monrovia's did at half minutes).
"""


class ScopedIds(NamedTuple):
    """What the ids of a stream are made of: ``make`` takes the venue's id and the record's values of ``fields``."""

    fields: tuple[str, ...]
    make: Callable[[str, Sequence[Any]], str]


def id_scope(stream: Stream, record: RecordType) -> ScopedIds | None:
    """How the ids of a stream are told apart; None where they are unique for ever."""
    scope = stream.id_scope
    if scope is None:
        return None
    unit, zone = record.microseconds, scope.zone
    days = _Days(zone) if zone is not None else None

    def make(own: str, said: Sequence[Any]) -> str:
        parts = ["" if value is None else str(value) for value in said[:-1]]
        if days is not None:
            parts.append(days.day(said[-1] * unit))
        return "|".join((*parts, own))

    return ScopedIds((*scope.fields, record.profile.time), make)


class _Days:
    """The days of a time zone. Records of the same seconds have one day, and come together."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._span: int | None = None
        self._day = ""

    def day(self, us: int) -> str:
        """The day of a moment, in microseconds since the epoch."""
        span = us // _SPAN
        if span != self._span:
            moment = _EPOCH + timedelta(microseconds=us)
            self._day, self._span = moment.astimezone(self._zone).date().isoformat(), span
        return self._day
