"""Which revision of its record type a stream is written in, and what of its file asks for it."""

from __future__ import annotations

from k2conn.plan import Stream
from k2conn.records import RecordType, load_record


def revision_text(stream: Stream) -> str:
    """The revision in words; nothing where it is the first."""
    record, first = load_record(stream.record, stream.revision), load_record(stream.record, 1)
    if record.revision == 1:
        return ""
    known = {field.name for field in first.schema.fields}
    used = [field.name for field in stream.fields if field.name not in known]
    used += [f"{field.name} may be null" for field in stream.fields
             if field.name in record.once_required and (field.absent == "null" or field.expression == "null")]
    used += [f"asset class {one}" for one in stream.kafka_topics if one not in _asset_classes(first)]
    return f"{record.revision} of {record.schema.full_name}: {', '.join(used)}"


def _asset_classes(record: RecordType) -> tuple[str, ...]:
    names = (field.symbols for field in record.schema.fields if field.name == "asset_class")
    return next(names, ())
