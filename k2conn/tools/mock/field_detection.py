"""Finds out which value of a frame is which field, by experiment: each value (leaf) is changed in turn, and belongs to
the fields whose results change with it.

So the expressions of a connector, with look-ups, patterns and alternatives, need not be analysed: the plan's own
readers are run, once for each leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.engine.conversation.routing import Router
from k2conn.engine.mapping.nested_items import NO_ITEM, NestedItems
from k2conn.errors import RecordError
from k2conn.plan import Connection, Json, Plan, Reader, Separators, Stream, Symbol
from k2conn.records import TIMES, RecordType, load_record
from k2conn.scope import Scope
from k2conn.tools.mock.learned_replies import messages
from k2conn.tools.mock.symbol_substitution import Place, leaves

SYMBOL, BEGIN, TIME, PREVIOUS, IDENTITY, SEQUENCE, PRICE, AMOUNT = (
    "symbol", "begin", "timestamp", "previous", "identity", "sequence", "price", "amount",
)
_PROBE = "\ue000"
_SOME_DAY = 1_767_323_045_000_000
"""A receipt time for times without a date."""
_MOST_LEAVES = 600
"""A frame with more leaves is sent unchanged."""


class Unreadable(str):
    """Why a value cannot be read."""

    __slots__ = ()


@dataclass(slots=True)
class ItemValues:
    """One item as the plan reads it: for each role the values, or the reason why a value cannot be read."""

    stream: Stream
    item: Json
    symbol: Symbol | None
    dropped: bool
    values: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def event_us(self) -> int | None:
        """The item's own time, where it has one."""
        return next((value for value in self.values[TIME] if type(value) is int), None)

    @property
    def identity(self) -> str | None:
        """The venue's id of the item; of one about a span of time, when that begins."""
        if self.values[BEGIN] and type(self.values[BEGIN][0]) is int:
            return str(self.values[BEGIN][0])
        return next((value for value in self.values[IDENTITY] if type(value) is str), None)


@dataclass(slots=True)
class DetectedField:
    """A leaf and its role, the row it belongs to (the oldest that it affects), its number among leaves of the same
    role.
    """

    place: Place
    role: str
    row: int
    order: int = 0
    separators: Separators | None = None
    """How the connector file says that its digits are set apart, where it is a number."""


class FieldDetection:
    """Reads frames of one connection as the plan does."""

    def __init__(self, plan: Plan, connection: Connection) -> None:
        self.plan = plan
        self.connection = connection
        self.streams = tuple(stream for stream in plan.streams if stream.name in connection.streams)
        self._router = Router(connection, self.streams)

    def rows(self, frame: Json, state: dict[str, Json], received_at: int = _SOME_DAY) -> list[ItemValues]:
        """All items of a frame's data messages, the oldest first; of a message of several streams those of each."""
        scope = Scope(state)
        scope.received_at = received_at
        found: list[ItemValues] = []
        for message in messages(self.connection, frame, scope):
            for at in self._router.streams(self._router.route(message, scope)):
                scope.message = message
                found += self._rows(self.streams[at], message, scope)
        return found

    def parts(self, frame: Json, state: dict[str, Json]) -> list[DetectedField]:
        """The leaves that have a role, by experiment; ``frame`` is restored afterwards."""
        base = self.rows(frame, state)
        places = list(leaves(frame))
        if not base or len(places) > _MOST_LEAVES:
            return []
        found: list[DetectedField] = []
        for place in places:
            part = self._field_at(place, base, frame, state)
            if part is not None:
                found.append(part)
        counts: dict[tuple[int, str], int] = {}
        for part in found:
            part.order = counts.get((part.row, part.role), 0)
            counts[part.row, part.role] = part.order + 1
        return sorted(found, key=lambda part: part.row)

    def _field_at(
        self, place: Place, base: list[ItemValues], frame: Json, state: dict[str, Json]
    ) -> DetectedField | None:
        container, key = place
        kept = container[key]
        container[key] = _PROBE
        try:
            changed = self.rows(frame, state)
        except RecordError:
            return None
        finally:
            container[key] = kept
        if len(changed) != len(base):
            return None
        touched = [
            (at, role)
            for at, (before, after) in enumerate(zip(base, changed, strict=True))
            for role in before.values
            if before.values[role] != after.values.get(role)
        ]
        for role in (SYMBOL, BEGIN, TIME, PREVIOUS, IDENTITY, SEQUENCE, PRICE, AMOUNT):
            rows = [at for at, name in touched if name == role]
            if rows:
                at = rows[0]
                return DetectedField(place, role, at, separators=_separators(base[at], changed[at], role))
        return None

    def _rows(self, stream: Stream, message: Json, scope: Scope) -> list[ItemValues]:
        if stream.each is None:
            return [_row(self.plan, stream, message, scope)]
        newest_first = stream.newest_first(message, scope)
        if stream.inner:
            return self._nested_rows(stream, NestedItems(stream, message, scope, newest_first), scope)
        try:
            items = stream.each(message, scope)
        except RecordError:
            return []
        if isinstance(items, dict) and not stream.each_key:
            return [_row(self.plan, stream, items, scope)]
        if isinstance(items, dict):
            found = []
            for key, item in items.items():
                scope.key, scope.keys = key, (key,)
                found.append(_row(self.plan, stream, item, scope))
            scope.key, scope.keys = None, ()
            return found
        listed = items if isinstance(items, list) else []
        oldest_first = listed[::-1] if newest_first else listed
        return [_row(self.plan, stream, item, scope) for item in oldest_first]

    def _nested_rows(self, stream: Stream, items: NestedItems, scope: Scope) -> list[ItemValues]:
        found = []
        for one in items:
            if one.error is None and one.found:
                one.enter(scope)
                found.append(_row(self.plan, stream, one.item, scope))
        NO_ITEM.enter(scope)
        return found


def _row(plan: Plan, stream: Stream, item: Json, scope: Scope) -> ItemValues:
    native = _read(stream.symbol.read, item, scope)
    scope.symbol = plan.symbols.resolve(native) if type(native) is str else None
    try:
        dropped = stream.drop_when is not None and stream.drop_when.condition(item, scope)
    except RecordError:
        dropped = False
    values = {SYMBOL: [native]}
    for role, readers in _readers(stream):
        values[role] = [_read(read, item, scope) for read in readers]
    scope.notes = {}
    return ItemValues(stream, item, scope.symbol, dropped, values)


def _separators(before: ItemValues, after: ItemValues, role: str) -> Separators | None:
    """Those of the number that differs; None where it is no price and no amount, or has none."""
    profile, fields = load_record(before.stream.record, before.stream.revision).profile, before.stream.fields
    by_name = {field.name: field for field in fields}
    names = {PRICE: profile.prices, AMOUNT: profile.amounts}.get(role, ())
    mapped = [by_name[name] for name in names if name in by_name]
    values = zip(mapped, before.values[role], after.values[role], strict=False)
    return next((one.separators for one, was, now in values if was != now), None)


def _readers(stream: Stream) -> list[tuple[str, Sequence[Reader]]]:
    record = load_record(stream.record, stream.revision)
    profile, by_name = record.profile, {field.name: field.read for field in stream.fields}
    sequence = [by_name[profile.sequence]] if profile.sequence in by_name else []
    previous: list[Reader] = []
    if stream.sequence is not None:
        sequence.append(stream.sequence.read)
        previous += [stream.sequence.previous] if stream.sequence.previous else []
    return [
        (BEGIN, [stream.span.moment] if stream.span is not None else []),
        (TIME, _times(stream, record)),
        (PREVIOUS, previous),
        (IDENTITY, [stream.venue_id.read] if stream.venue_id else []),
        (SEQUENCE, sequence),
        (PRICE, [by_name[name] for name in profile.prices if name in by_name]),
        (AMOUNT, [by_name[name] for name in profile.amounts if name in by_name]),
    ]


def _times(stream: Stream, record: RecordType) -> list[Reader]:
    """The readers of an item's time, in microseconds; none where the venue gives none."""
    return [
        _in_microseconds(field.read, TIMES[record.field(field.name).kind])
        for field in stream.fields if field.name == record.profile.time and field.expression != "$received_at"
    ]


def _in_microseconds(read: Reader, unit: int) -> Reader:
    return read if unit == 1 else lambda item, scope: read(item, scope) * unit


def _read(read: Reader, item: Json, scope: Scope) -> Any:
    try:
        return read(item, scope)
    except RecordError as error:
        return Unreadable(error.reason)
