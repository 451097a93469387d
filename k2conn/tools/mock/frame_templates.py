"""Turns an example data frame into a template for one symbol, with writers for its times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.intervals import Interval
from k2conn.plan import Json, Plan, Stream
from k2conn.records import load_record
from k2conn.scope import Scope
from k2conn.tools.mock.field_detection import BEGIN, IDENTITY, PRICE, TIME, DetectedField, FieldDetection, ItemValues
from k2conn.tools.mock.learned_replies import DataFrame
from k2conn.tools.mock.number_formats import exact, tick
from k2conn.tools.mock.request_recognition import RequestedSubscription, VenueSymbols, topic_of
from k2conn.tools.mock.symbol_substitution import Place, identity, leaves, renamed, substitute
from k2conn.tools.mock.time_formats import Write, layout, near


class SpanPlace(NamedTuple):
    """Where a span of time begins: the leaf, its notation, and whether the item is the last of its span."""

    place: Place
    write: Write
    interval: Interval
    last: bool


@dataclass(slots=True)
class FrameTemplate:
    """A frame of one symbol: its detected fields with their original values, and its times with how to write them."""

    frame: Json
    rows: list[ItemValues]
    parts: list[tuple[DetectedField, Json]]
    clocks: list[tuple[Place, Write, int]]
    """(place, writer, microseconds after the event)."""
    price: Decimal | None
    """The lowest price in it."""
    unit: Decimal | None
    """What a price of 1 is in it: 1, or a power of ten where prices are scaled; None where it is not that plain."""
    tick: Decimal
    """The largest step of its prices."""
    state: dict[str, Json]
    spans: list[SpanPlace]
    """Where the spans of time begin that its items are about."""
    ids: list[Place] | None
    """The leaves that are the items' ids unchanged, one for each row; None where the ids must be read by the plan."""


class FrameTemplates:
    """Makes templates of the example frames of one connection."""

    def __init__(self, plan: Plan, detection: FieldDetection, symbols: VenueSymbols) -> None:
        self.plan = plan
        self.detection = detection
        self.symbols = symbols

    def template(
        self, shown: DataFrame, wanted: RequestedSubscription, state: Mapping[str, Json]
    ) -> FrameTemplate | None:
        """The template for another symbol, as a connection in ``state`` would read it; None where that is not possible.
        """
        own = self.detection.rows(shown.frame, dict(shown.state))
        if not own or own[0].symbol is None:
            return None
        stream = own[0].stream
        here = {**shown.state, **state}
        for old in self._spellings(stream, own[0]):
            frame = substitute(shown.frame, old, wanted)
            target = self.plan.stream(wanted.stream)
            if stream.span is not None and target.span is not None and stream.name != target.name:
                frame = renamed(frame, stream.span.venue, target.span.venue)
            if self._about(frame, wanted, here) or self._looked_up(frame, wanted, shown.state, here):
                return self._template(frame, here)
        return None

    def _spellings(self, stream: Stream, row: ItemValues) -> list[RequestedSubscription]:
        """How the example's symbol may be written: as in data, or as in subscriptions."""
        assert row.symbol is not None
        same = [symbol for symbol in self.symbols.listed if symbol.record == row.symbol.record]
        return [RequestedSubscription(stream.name, one, topic_of(stream, one)) for one in (row.symbol, *same)]

    def _about(self, frame: Json, wanted: RequestedSubscription, state: dict[str, Json]) -> bool:
        rows = self.detection.rows(frame, state)
        symbols = {row.symbol.record if row.symbol else None for row in rows}
        return bool(rows) and rows[0].stream.name == wanted.stream and symbols == {wanted.symbol.record}

    def _looked_up(
        self, frame: Json, wanted: RequestedSubscription, then: Mapping[str, Json], now: dict[str, Json]
    ) -> bool:
        """Replaces, in place, the channel number of the subscription, where that is all its frames contain."""
        known = [name for table in then.values() if isinstance(table, dict) for name in table]
        names = [name for table in now.values() if isinstance(table, dict) for name in table]
        for container, key in leaves(frame):
            kept = container[key]
            for name in names if exactjson.spell(kept) in known else ():
                container[key] = int(name) if type(kept) is int and name.isdecimal() else name
                if self._about(frame, wanted, now):
                    return True
            container[key] = kept
        return False

    def _template(self, frame: Json, state: dict[str, Json]) -> FrameTemplate:
        rows = self.detection.rows(frame, state)
        parts = self.detection.parts(frame, state)
        prices = [(number, tick(value, part.separators)) for part in parts if part.role == PRICE
                  if (number := exact(value := _value(part.place), part.separators)) is not None and number > 0]
        return FrameTemplate(
            frame=frame,
            rows=rows,
            parts=[(part, _value(part.place)) for part in parts],
            clocks=_clocks(frame, rows, parts),
            price=(lowest := min((number for number, _ in prices), default=None)),
            unit=_unit(lowest, rows),
            tick=max((last for _, last in prices), default=Decimal(1)),
            state=state,
            spans=_spans(rows, parts, state),
            ids=_id_places(rows, parts),
        )


def _unit(lowest: Decimal | None, rows: Sequence[ItemValues]) -> Decimal | None:
    """The frame's lowest price beside the lowest of the records that it becomes."""
    found: list[Decimal] = []
    for row in rows:
        record = load_record(row.stream.record, row.stream.revision)
        names = [name for name in record.profile.prices if name in {field.name for field in row.stream.fields}]
        for name, value in zip(names, row.values[PRICE], strict=True):
            if type(value) is int and value > 0:
                found.append(Decimal(value).scaleb(-record.field(name).scale))
    if lowest is None or not found:
        return None
    unit = (lowest / min(found)).normalize()
    return unit if unit.as_tuple().digits == (1,) else None


def _value(place: Place) -> Any:
    container, key = place
    return container[key]


def _spans(rows: Sequence[ItemValues], parts: Sequence[DetectedField], state: dict[str, Json]) -> list[SpanPlace]:
    found = []
    for part in parts:
        row = rows[part.row]
        begin = row.values[BEGIN][0] if part.role == BEGIN else None
        if type(begin) is int and row.stream.span is not None and (write := layout(_value(part.place), begin)):
            found.append(SpanPlace(part.place, write, row.stream.span.interval, _is_last(row, state)))
    return found


def _is_last(row: ItemValues, state: dict[str, Json]) -> bool:
    """Whether the next item is about the next span: where this one is the last state of its own, or nothing says."""
    states = row.stream.states
    if states is None or states.closed is None:
        return True
    scope = Scope(state)
    scope.symbol = row.symbol
    try:
        return states.closed(row.item, scope) is True
    except RecordError:
        return True


def _id_places(rows: Sequence[ItemValues], parts: Sequence[DetectedField]) -> list[Place] | None:
    found = [part for part in parts if part.role == IDENTITY]
    if [part.row for part in found] != list(range(len(rows))):
        return None
    return [p.place for p in found] if all(str(_value(p.place)) == rows[p.row].identity for p in found) else None


def _clocks(frame: Json, rows: Sequence[ItemValues], parts: Sequence[DetectedField]) -> list[tuple[Place, Write, int]]:
    """The times of the items, and other times near them, which keep their distance to the event."""
    found: list[tuple[Place, Write, int]] = []
    taken = {identity(part.place) for part in parts}
    event = next((row.event_us for row in rows if row.event_us), None)
    for part in parts:
        own = rows[part.row].event_us
        if part.role == TIME and own and (write := layout(_value(part.place), own)):
            found.append((part.place, write, 0))
    for place in leaves(frame) if event else ():
        if identity(place) not in taken and (other := near(_value(place), event or 0)):
            found.append((place, other[0], other[1] - (event or 0)))
    return found


def encoded(frame: Json) -> bytes:
    """A text unchanged, any other value as JSON."""
    return frame.encode() if isinstance(frame, str) else exactjson.encode(frame)


