"""What tells records apart that have no id of the venue's, described to the native mapper.

It is a row of the declared fields, `price=..|side=..`, of which the id has a digest, and a number among equal rows of
one connection. `GeneralMapper` makes the same row of a record's values; here it is taken apart into what never changes
and the places of what does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k2conn.engine.identity.message_ids import Ordinals
from k2conn.engine.symbol_state import ORDINALS
from k2conn.plan import Field, Stream
from k2conn.records import RecordType
from k2conn.scope import Scope

OWN_ID, NO_VALUE = -1, -2
"""Instead of a place: the record's own id, and nothing."""
Part = tuple[bytes, int, int]
"""What stands before a value, its place, and how many places a decimal has beyond those of the default schema."""


Numbered = Callable[[Scope, str], int]
"""(scope, digest of a row) -> how many equal rows of the connection came before. It counts what it is asked."""


def row_parts(
    stream: Stream, record: RecordType, order: Sequence[Field], always: Mapping[str, object]
) -> tuple[Part, ...]:
    """The parts of a stream's rows; none where its message ids are of the venue's ids. ``order``: the fields that are
    read of each item, in the order of their places; ``always``: what all records of the stream have in common.
    """
    profile = record.profile
    if stream.venue_id is not None and profile.id not in stream.identity:
        return ()
    known = {field.name for field in record.schema.fields}
    places = {field.name: at for at, field in enumerate(order)}
    parts: list[Part] = []
    text = ""
    for name in (name for name in stream.identity if name in known):
        text += f"{'|' if parts or text else ''}{name}="
        if name in places or (name == profile.id and stream.venue_id is not None):
            parts.append((text.encode(), places.get(name, OWN_ID), record.more_places.get(name, 0)))
            text = ""
        else:
            constant: Any = always.get(name)
            more = record.more_places.get(name)
            text += str(as_in_v2(constant, more) if more else constant)
    return (*parts, (text.encode(), NO_VALUE, 0)) if text else tuple(parts)


def as_in_v2(value: int | None, more: int) -> object:
    """A decimal with so many more places than v2's as it stands in v2's ids: the same record has the same id in both.
    What v2 cannot hold is told apart by all its digits.
    """
    if value is None:
        return None
    number, rest = divmod(value, 10**more)
    return number if not rest else f"{value}e-{more}"


def numbering(stream: Stream, symbol: str) -> Numbered | None:
    """Numbers the equal rows of one symbol; None where these are one record."""
    if stream.distinct:
        return None
    key = ORDINALS + stream.name

    def numbered(scope: Scope, digest: str) -> int:
        state: dict[str, Any] = scope.state
        ordinals = state.get(key)
        if ordinals is None:
            ordinals = state[key] = Ordinals()
        number: int = ordinals.number(f"{symbol}|{digest}")
        return number

    return numbered
