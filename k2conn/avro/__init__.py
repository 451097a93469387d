"""Avro: record schemas, the compiled encoder, the decoder and container files. The door to fastavro."""

from k2conn.avro.checked import fixed_bytes
from k2conn.avro.compiled import Piece
from k2conn.avro.container import ContainerWriter
from k2conn.avro.fields import SchemaField, default_of
from k2conn.avro.schema import RecordSchema, known_schemas, load_schema, plain_text, read_schema
from k2conn.avro.varint import LENGTH_TEXT

__all__ = [
    "LENGTH_TEXT",
    "ContainerWriter",
    "Piece",
    "RecordSchema",
    "SchemaField",
    "default_of",
    "fixed_bytes",
    "known_schemas",
    "load_schema",
    "plain_text",
    "read_schema",
]
