"""Ids that a venue gives anew: for each of its markets, or each day. What they are unique within is part of a record's
identity, so that two trades of one number are two, and a trade that comes again is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from k2conn.plan import Stream
from k2conn.records import RecordType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Scoped = Callable[[str, Sequence[Any]], str]
"""(the venue's id, the record's values) -> what identifies the record."""


def id_scope(stream: Stream, record: RecordType) -> Scoped | None:
    """How the ids of a stream are told apart; None where they are unique for ever."""
    scope = stream.id_scope
    if scope is None:
        return None
    places = [record.schema.index(name) for name in scope.fields]
    time_at, unit, zone = record.schema.index(record.profile.time), record.microseconds, scope.zone

    def scoped(own: str, values: Sequence[Any]) -> str:
        parts = ["" if values[at] is None else str(values[at]) for at in places]
        if zone is not None:
            moment = _EPOCH + timedelta(microseconds=values[time_at] * unit)
            parts.append(moment.astimezone(zone).date().isoformat())
        return "|".join((*parts, own))

    return scoped
