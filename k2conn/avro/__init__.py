"""Avro: record schemas, the compiled encoder, the decoder and container files. The door to fastavro."""

from k2conn.avro.container import ContainerWriter
from k2conn.avro.fields import SchemaField
from k2conn.avro.schema import RecordSchema, known_schemas, load_schema, plain_text

__all__ = ["ContainerWriter", "RecordSchema", "SchemaField", "known_schemas", "load_schema", "plain_text"]
