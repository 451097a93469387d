"""Frames of a venue with numbers of our choice, made of an example in its connector file, whatever the shape.

Which value of the example is which field is found by experiment: each is changed in turn, and is of the fields whose
readers then say something else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import ConnectorTest, DialogueTurn, Plan, Stream
from k2conn.records import load_record
from k2conn.scope import Scope
from k2conn.tools.mock.field_detection import FieldDetection
from k2conn.tools.mock.symbol_substitution import Place, leaves
from k2conn.tools.mock.time_formats import layout

_PROBE = "\ue000"


class VenueFrames:
    """Frames of one stream: the first example in the file's tests that is one record and no snapshot, of one of these
    symbols (the venue's names).
    """

    def __init__(self, plan: Plan, stream: Stream, symbols: Collection[str]) -> None:
        self._detection = FieldDetection(plan, next(one for one in plan.connections if stream.name in one.streams))
        self._stream = stream
        self._readers = {one.name: one.read for one in stream.fields}
        if stream.span is not None:
            self._readers["open_time"] = stream.span.moment
        if stream.venue_id is not None:
            self._readers["venue_id"] = stream.venue_id.read
        self._record = load_record(stream.record)
        self.frame, self.symbol = self._example(plan, symbols)
        before = self._read()
        self._places: dict[str, tuple[Place, Any, Any]] = {}
        """By field: where it stands, what stands there, and what its reader makes of that."""
        for place in list(leaves(self.frame)):
            container, key = place
            kept = container[key]
            container[key] = _PROBE
            after = self._read()
            container[key] = kept
            for name, value in before.items() if after else ():  # else it is no frame of this stream any more
                if name != "symbol" and value != after.get(name):
                    self._places.setdefault(name, (place, kept, value))

    def _example(self, plan: Plan, symbols: Collection[str]) -> tuple[Any, str]:
        for test in plan.tests:
            for turn in test.dialogue:
                if turn.kind == "received" and not isinstance(turn.value, str) and self._fits(test, turn):
                    frame = exactjson.decode(exactjson.encode(turn.value))
                    rows = self._detection.rows(frame, {})
                    assert rows[0].symbol is not None
                    if rows[0].symbol.native in symbols:
                        return frame, rows[0].symbol.native
        raise AssertionError(f"{plan.name}: no test has one record of {self._stream.name} in a frame, of {symbols}")

    def _fits(self, test: ConnectorTest, turn: DialogueTurn) -> bool:
        rows = self._detection.rows(turn.value, {})
        if len(rows) != 1 or rows[0].stream.name != self._stream.name or rows[0].symbol is None:
            return False
        if self._stream.snapshot is not None and "snapshot" in str(turn.value):
            return False
        states = self._stream.states
        if states is None or states.closed is None:
            return True
        scope = Scope({})
        scope.message, scope.symbol = turn.value, rows[0].symbol
        return states.closed(rows[0].item, scope) is True

    def _read(self) -> dict[str, Any]:
        rows = self._detection.rows(self.frame, {})
        if len(rows) != 1 or rows[0].stream.name != self._stream.name:
            return {}
        scope = Scope({})
        scope.message, scope.symbol, scope.received_at = self.frame, rows[0].symbol, 1
        found: dict[str, Any] = {}
        for name, read in self._readers.items():
            try:
                found[name] = read(rows[0].item, scope)
            except RecordError as error:
                found[name] = error.reason
        return found

    def has(self, name: str) -> bool:
        """Whether the example has that field."""
        return name in self._places

    def text(self, values: Mapping[str, Any]) -> str:
        """A frame with these values: decimals as Decimal, times in microseconds, the
        id (``venue_id``) as a number."""
        for name, value in values.items():
            place, was, read = self._places[name]
            container, key = place
            container[key] = self._written(name, value, was, read)
        return exactjson.encode(self.frame).decode()

    def _written(self, name: str, value: Any, was: Any, read: Any) -> Any:
        if name != "venue_id" and self._record.field(name).kind.startswith("timestamp"):
            write = layout(was, read)
            assert write is not None, f"{name}: {was!r}"
            return write(value)
        if isinstance(was, str):
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        return value


def shown_symbols(plan: Plan, stream: Stream) -> set[str]:
    """The venue's names of the symbols that the file's tests show data of that stream of."""
    detection = FieldDetection(plan, next(one for one in plan.connections if stream.name in one.streams))
    return {row.symbol.native for test in plan.tests for turn in test.dialogue
            if turn.kind == "received" and not isinstance(turn.value, str)
            for row in detection.rows(turn.value, {}) if row.stream.name == stream.name and row.symbol is not None}
