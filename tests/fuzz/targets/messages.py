"""Messages of a topic: any value, written by any schema that a registry may say; a record or the promised error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from k2conn.avro import RecordSchema, Resolution, known_schemas, load_schema, well_formed
from k2conn.consumer.decoding import decoded, head_of
from k2conn.consumer.writer_schemas import WriterSchemas
from k2conn.errors import RecordError, SettingsError, SinkError
from tests.fuzz.targets.avro_records import WORDS as AVRO_WORDS
from tests.fuzz.targets.avro_records import example

SCHEMAS = [load_schema(name) for name in known_schemas()]
TRACED = ("k2conn.avro", "k2conn.consumer.decoding", "k2conn.consumer.writer_schemas")
SPLIT = b"\n\n"
WORDS = (*AVRO_WORDS, b'{"type":"array","items":"null"}', b'{"type":"fixed","name":"F","size":0}', b'"default":', SPLIT)


class OneSchema:
    """A registry that says one text, whatever it is asked for."""

    url = "http://registry"

    def __init__(self, text: str) -> None:
        self._text = text

    def schema(self, number: int) -> str | None:
        """See `SchemaRegistry.schema`."""
        return self._text if number else None


def seeds() -> Iterator[bytes]:
    """A schema, an empty line, messages with their lengths before them."""
    for schema in SCHEMAS:
        body = schema.encode(example(schema))
        text = schema.text.encode()
        yield text + SPLIT + framed(body) * 2
        declared = json.loads(schema.text)
        declared["fields"] = declared["fields"][::-1]
        yield json.dumps(declared).encode() + SPLIT + framed(body)
    yield b"{}" + SPLIT + bytes((2, 0, 1))


def framed(body: bytes) -> bytes:
    """A message, its length first."""
    value = b"\0\0\0\0\x01" + body
    return len(value).to_bytes(2, "big") + value


def target(data: bytes) -> None:
    """One schema and some messages."""
    text, _, rest = data.partition(SPLIT)
    schemas = WriterSchemas(OneSchema(text.decode("utf-8", "replace")))  # type: ignore[arg-type] # stands in for one
    messages: list[Any] = []
    while rest and len(messages) < 50:
        size = int.from_bytes(rest[:2], "big")
        messages.append(SimpleNamespace(value=rest[2 : 2 + size]))
        rest = rest[2 + size :]
    left = messages
    for _ in range(len(messages) + 1):
        found, head = decoded(left, schemas)
        for one in found:
            if isinstance(one.body, bytes):
                assert one.schema is not None
                check(one.schema, one.body)
            else:
                assert isinstance(one.body, RecordError)
        left = left[len(found) :]
        if not head:
            break
        assert head_of(left[0]) == head
        try:
            schemas.keep(head, schemas.ask(head))
        except (SinkError, SettingsError) as error:
            raise AssertionError("a registry's text ends more than its records") from error
    assert not left


def check(schema: RecordSchema, body: bytes) -> None:
    """What came out is a record: whoever reads it with our schema, of the revision that it is made into, can."""
    assert Resolution(schema.text, schema).body(body)
    assert well_formed(schema, [body]) in (0, 1)
