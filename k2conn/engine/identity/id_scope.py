"""Ids that a venue gives anew: for each of its markets, or each day. What they are unique within is part of a record's
identity, so that two trades of one number are two, and a trade that comes again is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from k2conn.plan import Stream
from k2conn.records import RecordType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def make(own: str, said: Sequence[Any]) -> str:
        parts = ["" if value is None else str(value) for value in said[:-1]]
        if zone is not None:
            moment = _EPOCH + timedelta(microseconds=said[-1] * unit)
            parts.append(moment.astimezone(zone).date().isoformat())
        return "|".join((*parts, own))

    return ScopedIds((*scope.fields, record.profile.time), make)
