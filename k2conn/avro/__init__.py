"""Avro: record schemas, the compiled encoder, the decoder and container files. The only package that uses fastavro."""

from k2conn.avro.bodies import well_formed
from k2conn.avro.checked import checked_writer, fixed_bytes
from k2conn.avro.container import ContainerWriter
from k2conn.avro.decimals import V2, WIDE, DecimalSize, decimals_used, read_decimals, use_decimals
from k2conn.avro.fields import SchemaField, default_of
from k2conn.avro.resolution import Resolution, declared_name
from k2conn.avro.schema import RecordSchema, known_schemas, load_schema, plain_text, read_schema, wide_file

__all__ = [
    "V2",
    "WIDE",
    "ContainerWriter",
    "DecimalSize",
    "RecordSchema",
    "Resolution",
    "SchemaField",
    "checked_writer",
    "decimals_used",
    "declared_name",
    "default_of",
    "fixed_bytes",
    "known_schemas",
    "load_schema",
    "plain_text",
    "read_decimals",
    "read_schema",
    "use_decimals",
    "well_formed",
    "wide_file",
]
