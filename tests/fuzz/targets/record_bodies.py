"""Avro bodies in C, whole ones, changed ones and any bytes: what is called well-formed is; the fields that are picked,
the rows for PostgreSQL and the columns for Arrow are what the decoder in Python reads, or are left to it.

Run by libFuzzer, what is written in C is instrumented (`c/python_host.c`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack
from typing import Any, NamedTuple
from unittest import mock

from k2conn import native
from k2conn.avro import RecordSchema, Resolution, load_schema, well_formed
from k2conn.avro.described import described
from k2conn.avro.picking import FieldPicker
from k2conn.errors import RecordError
from k2conn.sinks.batching import BatchRefused
from k2conn.sinks.postgres.rows import RowFormat
from tests.fuzz.draws import Draws
from tests.fuzz.targets.avro_records import WORDS as AVRO_WORDS
from tests.fuzz.targets.avro_records import example
from tests.support.every_kind import ALL

SCHEMAS = (ALL, load_schema("trade"), load_schema("candle"))
UUID = "00112233-4455-6677-8899-aabbccddeeff"
WORDS = (*AVRO_WORDS, b"\x00", b"\x02", b"\x01\x10", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x48" + UUID.encode())


class Ways(NamedTuple):
    """A schema, and who reads bodies of it."""

    schema: RecordSchema
    decoder: Resolution
    picker: FieldPicker[Any]
    rows: RowFormat


def ways_of(schema: RecordSchema) -> Ways:
    """All fields are picked but the last one; rows are sorted by the first."""
    names = [field.name for field in schema.fields[:-1]]
    words = {field.name: {field.symbols[0]: 1} for field in schema.fields if field.kind == "enum"}
    return Ways(schema, Resolution(schema.text, schema), FieldPicker(tuple, schema, names, words),
                RowFormat(schema, names[:1]))


WAYS = [ways_of(schema) for schema in SCHEMAS]


def fields_of(schema: RecordSchema, empty: bool) -> list[Any]:
    """An honest record's. ``empty``: without all that need not be there."""
    known = {"message_id": UUID, "d0": 5}
    return [
        None if empty and field.nullable else known.get(field.name, value)
        for field, value in zip(schema.fields, example(schema), strict=True)
    ]


BODIES = [[schema.encode(fields_of(schema, empty)) for empty in (False, True)] for schema in SCHEMAS]


def seeds() -> Iterator[bytes]:
    """Which schema, how many bodies; how each is made, and its changes or its bytes."""
    for at, bodies in enumerate(BODIES):
        yield bytes((at, 1, 0, 0, 1, 0, 0))
        for number, body in enumerate(bodies):
            yield bytes((at, 0, 2)) + body
            for place in range(0, len(body), 3):
                yield bytes((at, 1, number, 1, 0, place, place * 37 % 256, 0, 0))
                yield bytes((at, 0, number, 1, 1, 0, place, 2))


def bodies_of(draws: Draws, at: int) -> list[bytes]:
    """One to four bodies; what is left of the input may be one."""
    found = []
    for _ in range(draws.below(4) + 1):
        how = draws.below(3)
        if how == 2:
            found.append(draws.rest())
            continue
        body = bytearray(BODIES[at][how])
        for _ in range(draws.below(5)):
            kind, place = draws.below(3), draws.below(65536) % (len(body) + 1)
            if kind == 0:
                body[place : place + 1] = bytes((draws.byte(),))
            elif kind == 1:
                del body[place : place + draws.below(8)]
            else:
                body[place:place] = draws.piece(40)
        found.append(bytes(body))
    return found


def target(data: bytes) -> None:
    """Some bodies of one schema."""
    draws = Draws(data)
    at = draws.below(len(WAYS))
    way, bodies = WAYS[at], bodies_of(draws, at)
    if native.columns is None:
        return
    records = [record_of(way.schema, body) for body in bodies]
    good = well_formed(way.schema, bodies)
    for body, record in list(zip(bodies, records, strict=True))[:good]:
        assert record is not None, "called well-formed"
        assert taken(way.decoder, body)
    same("picked", lambda: way.picker.pick(bodies))
    same("rows", lambda: way.rows.rows(bodies))
    found = native.columns(described(way.schema.fields), tuple(bodies))
    if found is not None:
        for field, one in zip(way.schema.fields, found, strict=True):
            read = column(field.kind, len(bodies), one)
            assert read == [plain(field.kind, record and record[field.name]) for record in records], field.name


def record_of(schema: RecordSchema, body: bytes) -> dict[str, Any] | None:
    """What the decoder reads."""
    try:
        return schema.decode(body)
    except ValueError:
        return None


def taken(decoder: Resolution, body: bytes) -> bool:
    """Whether it could be written again."""
    try:
        return bool(decoder.body(body))
    except RecordError:
        return False


def same(name: str, made: Callable[[], Any]) -> None:
    """With C and without, it is the same, or refused."""
    with_c = said(made)
    with mock.patch.object(native, name, None):
        assert with_c == said(made), name


def said(made: Callable[[], Any]) -> Any:
    """What is made, or the kind of the refusal."""
    try:
        return made()
    except (BatchRefused, ValueError) as error:
        return type(error)


def plain(kind: str, value: Any) -> Any:
    """A value as a column has it."""
    if value is None:
        return None
    if kind == "decimal":
        return int(format(value, "f").replace(".", ""))
    if kind == "timestamp-millis":
        return value * 1000
    return [*value.items()] if kind == "map<string>" else value


def column(kind: str, count: int, one: tuple[Any, ...]) -> list[Any]:
    """A second reading of a column's buffers."""
    nulls, entries, valid, fixed, offsets, texts, more_offsets, more_texts = one
    known = [bits(valid, at) for at in range(count)] if valid else [True] * count
    assert known.count(False) == nulls
    if kind in ("string", "bytes", "enum"):
        found: list[Any] = pieces(count, offsets, texts)
        found = found if kind == "bytes" else [text.decode() for text in found]
    elif kind in ("array<string>", "map<string>"):
        ends = unpack(f"<{count + 1}{'i' if kind.startswith('map') else 'q'}", fixed)
        inside: list[Any] = [text.decode() for text in pieces(entries, offsets, texts)]
        if kind.startswith("map"):
            values = [text.decode() for text in pieces(entries, more_offsets, more_texts)]
            inside = list(zip(inside, values, strict=True))
        assert (ends[0], ends[-1]) == (0, entries)
        found = [inside[ends[at] : ends[at + 1]] for at in range(count)]
    elif kind == "boolean":
        found = [bits(fixed, at) for at in range(count)]
    elif kind == "decimal":
        found = [int.from_bytes(fixed[16 * at : 16 * at + 16], "little", signed=True) for at in range(count)]
    else:
        found = [*unpack(f"<{count}{'i' if kind in ('int', 'date') else 'q'}", fixed)]
    return [value if there else None for value, there in zip(found, known, strict=True)]


def bits(bitmap: bytes, at: int) -> bool:
    """A bit, the lowest first."""
    return bool(bitmap[at // 8] >> at % 8 & 1)


def pieces(count: int, offsets: bytes, texts: bytes) -> list[bytes]:
    """Texts that stand one behind the other."""
    places = unpack(f"<{count + 1}q", offsets)
    assert (places[0], places[-1]) == (0, len(texts))
    return [texts[places[at] : places[at + 1]] for at in range(count)]
