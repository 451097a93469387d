"""`k2conn docs --dictionary`: one page that says, field by field, what records hold, made from schemas and profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from k2conn import exactjson
from k2conn.avro import V2, WIDE, SchemaField, read_schema
from k2conn.cli.markdown_text import cell, code
from k2conn.cli.messages import show
from k2conn.errors import SettingsError
from k2conn.records import RecordType, known_records, load_record, record_revisions, revision_files
from k2conn.resources import record_files

_INTRO = """\
# Data dictionary

Made by `k2conn docs --dictionary` from the schemas and profiles in `schemas/`; edit those.

What every record holds, field by field, wherever it is written: in Kafka (Avro), in files, in
[databases](databases.md). *Type* is Avro's; "or null" says that a field may have no value. A decimal with a second size
has that one under [`K2_DECIMALS=38,18`](decimals.md). *From* says who fills a field: `fields:` and `symbols:` are those
of the [connector file](spec.md); what is filled by k2conn is the same for all venues.
"""
_CHANGES = """\
## How schemas change

- A schema that is published is never edited. What is new is in a [revision](revisions.md) beside it, and a stream is
  written in the earliest one that has what its connector file uses: the bytes of all others stay as they are.
- A field is added at the end, with a default, and its meaning never changes afterwards: then who reads with the old
  schema passes over it, and who reads with the new one finds the default in old records (Avro calls that full
  compatibility; the registry's `BACKWARD` is a part of it). Anything else is another record type, with a name, topics
  and tables of its own.
- Words of an enumeration, and null in a field that never was, come in a revision of their own: who reads with the old
  schema reads all records but those that have them. What a venue says beyond the words is `UNKNOWN`, or a dead letter.
- Schemas are registered as they are, documentation included, so a corrected meaning is a new schema version in the
  registry that differs in no field. The size of decimals is a part of the type: the two sizes do not share a subject.
- Tables that have more columns are accepted. To a table of an earlier revision the new columns are added, where k2conn
  may make tables; no other table is changed.
- [Record types of your own](add-a-record-type.md) follow the same rules; `k2conn docs --dictionary` writes their page.
"""
_FILLED = {
    "message_id": "k2conn: a UUIDv5 of exchange, stream, symbol and what identifies the record",
    "symbol": "`fields:` says where the venue's name is, `symbols:` how it is read",
    "currency": "`symbols:`, or `fields:` where names do not tell",
    "exchange": "`exchange:`",
    "asset_class": "`asset_class:`, of the file or of the stream",
    "connector": "k2conn: `connector:`",
    "stream": "k2conn: the stream's name",
    "ingestion_timestamp": "k2conn: its own clock, when the frame arrived",
    "platform_sequence": "nobody: always null",
    "vendor_data": "what `fields:` does not map; `vendor_data:` and `unmapped:` choose",
}
_UNITS = {
    "timestamp-micros": "microseconds since 1970 UTC", "timestamp-millis": "milliseconds since 1970 UTC",
    "date": "days since 1970",
}


def run(path: Path, check: bool) -> int:
    """Writes the page, or compares it; returns 0, or 1 where --check finds it out of date."""
    text = dictionary()
    if check:
        now = path.read_text(encoding="utf-8") if path.is_file() else None
        if now != text:
            show(f"{path} is out of date: run k2conn docs --dictionary {path}", error=True)
        return int(now != text)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--dictionary {path}: {error.strerror}") from None
    return 0


def dictionary() -> str:
    """The page of all record types that are known."""
    names = sorted(known_records(), key=lambda name: (load_record(name).profile.made_by, name != "trade", name))
    return "\n".join([_INTRO, *("\n".join(_record(load_record(name))) + "\n" for name in names), _CHANGES])


def _record(record: RecordType) -> Iterator[str]:
    profile, revisions = record.profile, record_revisions(record.name)
    path = revision_files(record_files()[record.name])[-1]
    schema, wide = (read_schema(record.name, path, size) for size in (V2, WIDE))
    yield f"## {profile.plural.capitalize()}: {code(record.name + '_v2')}"
    yield ""
    about = cell(exactjson.decode(schema.text).get("doc", ""))
    yield f"{about} Topics: {code(f'market.<asset class>.{profile.plural}.<exchange>')}; key: the symbol."
    yield ""
    if profile.key:
        names = ", ".join(code(one) for one in ("exchange", "symbol", *profile.key))
        yield f"Which one it is: {names}. A later record of the same key is a new state of it."
    else:
        yield "Which one it is: `message_id`. Who reads drops repeats by it."
    if profile.content:
        names = ", ".join(map(code, profile.content))
        yield f"What makes it this one: {names}. Under the same id of the venue's another content is another record."
    yield ""
    if len(revisions) > 1:
        yield (f"There are {len(revisions)} [revisions](revisions.md). *Since* names the one that brought a field, or "
               "what changed in it; a field without is in all of them, as it stands here.")
        yield ""
    yield "| field | type | unit | meaning | from |" + " since |" * (len(revisions) > 1)
    yield "|---|---|---|---|---|" + "---|" * (len(revisions) > 1)
    for field, larger in zip(schema.fields, wide.fields, strict=True):
        cells = [code(field.name), _type(field, larger), _unit(record, field), cell(field.doc), _from(record, field)]
        cells += [_since(revisions, field.name)] * (len(revisions) > 1)
        yield f"| {' | '.join(cells)} |"


def _since(revisions: Sequence[RecordType], name: str) -> str:
    """The revision that a field came with, and those that changed it."""
    found: list[str] = []
    before: SchemaField | None = None
    for one in revisions:
        now = next((field for field in one.schema.fields if field.name == name), None)
        if now is None:
            continue
        if before is None:
            found += [str(one.revision)] if one.revision > 1 else []
        else:
            more = [symbol for symbol in now.symbols if symbol not in before.symbols]
            found += [f"{one.revision}: {', '.join(more)}"] if more else []
            found += [f"{one.revision}: null"] if now.nullable and not before.nullable else []
        before = now
    return cell("; ".join(found))


def _type(field: SchemaField, larger: SchemaField) -> str:
    """The type as people write it."""
    text = field.kind
    if field.kind == "decimal":
        text = " / ".join(dict.fromkeys(f"decimal({one.precision},{one.scale})" for one in (field, larger)))
    elif field.kind == "enum":
        text = "enum: " + ", ".join(field.symbols)
    return cell(text + (", or null" if field.nullable else ""))


def _unit(record: RecordType, field: SchemaField) -> str:
    if field.name in record.profile.prices:
        return "units of `currency`"
    return _UNITS.get(field.kind, "")


def _from(record: RecordType, field: SchemaField) -> str:
    """Who fills the field, and what stands there where nobody does."""
    profile = record.profile
    if profile.made_by == "engine":
        return "k2conn"
    if field.name in profile.engine:
        return _FILLED[field.name]
    if field.name == profile.id:
        return "`fields:`, behind the exchange's name; without one, see [identity](spec.md#identity)"
    if field.name == profile.end:
        return f"k2conn: `{profile.begin}` and the interval"
    if field.name == profile.interval:
        return "`intervals:`"
    absent = profile.defaults.get(field.name, _NOTHING)
    return "`fields:`" if absent is _NOTHING else f"`fields:`, else {code(_spelled(absent))}"


_NOTHING = object()


def _spelled(value: object) -> str:
    return exactjson.encode(list(value) if isinstance(value, tuple) else value).decode()
