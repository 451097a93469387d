"""Records that say nothing: all their prices and quantities are zero, or null. A venue's word for "no quote"."""

from __future__ import annotations

from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Stream
from k2conn.records import RecordType


class EmptyRecords:
    """Finds those of one stream; asked of records whose headline price is zero or null."""

    def __init__(self, stream: Stream, record: RecordType) -> None:
        self._names = record.profile.never_all_zero
        self._expression = {field.name: field.expression for field in stream.fields}.get(self._names[0])
        self.dropped = stream.empty == "drop"
        """Whether they are filtered, not dead letters."""

    def holds(self, envelope: Envelope) -> bool:
        """Whether a record, of which the headline price is zero or null, is empty."""
        assert envelope.schema is not None
        values = envelope.schema.decode(envelope.value)
        return all(not values[name] for name in self._names)

    def error(self) -> RecordError:
        """Why there is no record."""
        detail = f"{', '.join(self._names)} are all zero: say `empty: drop` or `empty: keep` where the venue means that"
        return RecordError(self._names[0], self._expression, 0, "all-zero", detail)


def empty_records(stream: Stream, record: RecordType) -> EmptyRecords | None:
    """What finds a stream's empty records; None where each is a record."""
    return EmptyRecords(stream, record) if record.profile.never_all_zero and stream.empty != "keep" else None
