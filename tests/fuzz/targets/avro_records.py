"""Avro, read: records of our schemas, schemas that come from elsewhere, and container files; a value or the error that
is promised, and what was read can be written again.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from k2conn.avro import ContainerWriter, RecordSchema, known_schemas, load_schema
from k2conn.avro.reading import read_container
from k2conn.errors import EncodeError, SettingsError
from k2conn.spool.stored_text import stored_schema

SCHEMAS = [load_schema(name) for name in known_schemas()]
BODY, SCHEMA, CONTAINER = range(3)
TRACED = ("k2conn.avro", "k2conn.spool.stored_text")
WORDS = (
    b"Obj\x01",
    b"avro.schema",
    b"avro.codec",
    b"deflate",
    b"null",
    b'"type":',
    b'"record"',
    b'"fields":',
    b'"name":',
    b'"logicalType":"decimal"',
    b'"precision":',
    b'"scale":',
    b'["null","string"]',
    b'"enum"',
    b'"symbols":',
    b'{"type":"map","values":"string"}',
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"timestamp-micros",
    b"1e9",
)


class Place:
    """A file for what can only be read from a file; in memory where there is such a folder."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def path(cls) -> Path:
        """Made when it is needed."""
        if cls._folder is None:
            shared = "/dev/shm"
            cls._folder = tempfile.TemporaryDirectory(dir=shared if Path(shared).is_dir() else None)
        return Path(cls._folder.name) / "x.avro"


def example(schema: RecordSchema) -> list[Any]:
    """One value for each field."""
    plain: dict[str, Any] = {
        "string": "text",
        "boolean": True,
        "bytes": b"\0",
        "decimal": 6400010000000,
        "array<string>": ["a", "b"],
        "map<string>": {"a": "b"},
    }
    return [field.symbols[0] if field.kind == "enum" else plain.get(field.kind, 7) for field in schema.fields]


def seeds() -> Iterator[bytes]:
    """What is read, which schema; bytes."""
    for at, schema in enumerate(SCHEMAS):
        body = schema.encode(example(schema))
        yield bytes((BODY, at)) + body
        yield bytes((SCHEMA, at)) + schema.text.encode()
        for codec in ("null", "deflate"):
            stream = io.BytesIO()
            writer = ContainerWriter(stream, schema, codec)
            writer.append(body)
            writer.append(body)
            writer.flush()
            yield bytes((CONTAINER, at)) + stream.getvalue()
    yield (
        bytes((SCHEMA, 0))
        + json.dumps(
            {
                "type": "record",
                "name": "R",
                "fields": [
                    {
                        "name": "a",
                        "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}],
                    },
                    {"name": "b", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
                    {"name": "c", "type": "E"},
                ],
            }
        ).encode()
    )


def target(data: bytes) -> None:
    """One body, schema or file."""
    if len(data) < 2:
        return
    kind, schema, rest = data[0] % 3, SCHEMAS[data[1] % len(SCHEMAS)], data[2:]
    if kind == BODY:
        check_body(schema, rest)
    elif kind == SCHEMA:
        check_schema(rest)
    else:
        check_container(rest)


def check_body(schema: RecordSchema, body: bytes) -> None:
    """A record's bytes."""
    try:
        record = schema.decode(body)
    except ValueError:
        return
    assert schema.decode_plain(body).keys() == record.keys() == {field.name for field in schema.fields}
    values = [
        record[field.name]
        if not isinstance(record[field.name], Decimal)
        else int(record[field.name].scaleb(field.scale))
        for field in schema.fields
    ]
    with suppress(EncodeError):  # more digits than the field has
        assert schema.decode(schema.encode(values)) == record


def check_schema(text: bytes) -> None:
    """A schema's text, as an author wrote it, and as a spool file has it."""
    try:
        said = text.decode()
    except ValueError:
        return
    known: dict[int, RecordSchema] = {}
    if stored_schema({"id": 1, "name": "other", "text": said}, known):
        check_body(known[1], b"\0" * 20)
        assert known[1].fields
    elif len(said) < 2000 and "precision" not in said:
        with suppress(SettingsError):
            RecordSchema("other", said)


def check_container(data: bytes) -> None:
    """A container file."""
    path = Place.path()
    path.write_bytes(data)
    with suppress(ValueError):
        for count, record in enumerate(read_container(path)):
            assert isinstance(record, dict)
            if count > 1000:
                break
