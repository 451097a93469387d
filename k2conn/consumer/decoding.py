"""From messages to records: Confluent's framing, the writer's schema, our own.

A body that was written with our own schema stays as it is: it is only looked through, whether it is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from k2conn.avro import RecordSchema, Resolution, well_formed
from k2conn.consumer.writer_schemas import UnusableSchema, WriterSchemas
from k2conn.errors import RecordError

HEAD = 5
"""Bytes before an Avro body: zero, and the schema's id."""


class Decoded(NamedTuple):
    """A message's record: an Avro body of our schema, or why there is none."""

    message: Any
    schema: RecordSchema | None
    body: bytes | RecordError


def head_of(message: Any) -> bytes:
    """The bytes that name a message's schema; empty where it has none."""
    value: bytes | None = message.value
    return value[:HEAD] if value is not None and len(value) >= HEAD and value[0] == 0 else b""


def decoded(messages: Sequence[Any], schemas: WriterSchemas) -> tuple[list[Decoded], bytes]:
    """The first messages as records, up to one whose schema is not known; and the head of that, or nothing."""
    found: list[Decoded] = []
    for head, group in groupby(messages, head_of):
        run = list(group)
        if not head:
            found += [Decoded(message, None, _unframed(message)) for message in run]
            continue
        schema = schemas.get(head)
        if schema is None:
            return found, head
        if isinstance(schema, UnusableSchema):
            error = RecordError(None, None, None, "unknown-schema", schema.reason)
            found += [Decoded(message, None, error) for message in run]
            continue
        bodies = _bodies(schema, [message.value[HEAD:] for message in run])
        found += [Decoded(message, schema.own, body) for message, body in zip(run, bodies, strict=True)]
    return found, b""


def _bodies(schema: Resolution, bodies: list[bytes]) -> list[bytes | RecordError]:
    """Bodies of one schema as bodies of ours."""
    found: list[bytes | RecordError] = []
    while len(found) < len(bodies):
        if schema.same:
            rest = bodies[len(found) :]
            good = well_formed(schema.own, rest)
            found += rest[:good]
            if good == len(rest):
                break
        try:
            found.append(schema.body(bodies[len(found)]))
        except RecordError as error:
            found.append(error)
    return found


def _unframed(message: Any) -> RecordError:
    if message.value is None:
        text = "the message has no value"
    elif len(message.value) < HEAD:
        text = f"{len(message.value)} bytes are no framed record: a zero, the schema's id in four bytes, the record"
    else:
        text = f"it begins with the byte {message.value[0]}, not with zero as a framed record does"
    return RecordError(None, None, None, "malformed-frame", text)
