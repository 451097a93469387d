"""Confluent's framing: how a reader learns which schema a record was written with."""

from __future__ import annotations

MAGIC = b"\x00"


def head(schema_id: int) -> bytes:
    """The five bytes before an Avro body: zero, then the registry's schema id, big-endian."""
    return MAGIC + schema_id.to_bytes(4, "big")
