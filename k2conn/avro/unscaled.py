"""Records of any record schema as they are written: decimals as unscaled whole numbers, times as whole numbers.

The quick way for whoever reckons with many records: no Decimal is made. Container files are read block by block, so
that one of any size takes the memory of one block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO

import fastavro

from k2conn.avro.blocks import (
    LARGEST,
    SYNC_SIZE,
    ByteStream,
    MalformedContainer,
    NotWhole,
    inflated,
    read_head,
    read_long,
    take,
)
from k2conn.avro.fields import SchemaField, parse_field
from k2conn.avro.schema import RecordSchema
from k2conn.errors import SettingsError

_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)
"""What fastavro raises for bytes that are no record of the schema."""
_TORN = "it ends in the middle"


class DamagedFile(ValueError):
    """A container file that ends in the middle of a block, or whose bytes are not what its header says."""


class UnscaledReader:
    """Reads records of one schema.

    ``full_name`` is Avro's name of it, ``fields`` its fields by name, ``unscaled`` the names of those that are
    decimals.
    """

    def __init__(self, text: str) -> None:
        """SettingsError for a text that is no record schema of the types that are written here."""
        try:
            declared = json.loads(text)
            known: dict[str, Mapping[str, Any]] = {}
            fields = [parse_field(one, known) for one in declared["fields"]]
            self.full_name = ".".join(filter(None, (declared.get("namespace"), declared["name"])))
            self._schema = fastavro.parse_schema(_bare(declared))
        except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, *_DAMAGED) as error:
            raise SettingsError(f"no record schema: {error}") from None
        self.fields: Mapping[str, SchemaField] = {field.name: field for field in fields}
        self.unscaled = tuple(field.name for field in fields if field.kind == "decimal")

    def record(self, body: bytes) -> dict[str, Any]:
        """The record of one Avro body. ValueError for bytes that are not such a record."""
        stream = BytesIO(body)
        found = self._next(stream)
        if stream.tell() != len(body):
            raise ValueError(f"not a {self.full_name} record: {len(body) - stream.tell()} bytes too many")
        return found

    def records(self, body: bytes, count: int) -> list[dict[str, Any]]:
        """So many records that follow each other. ValueError for bytes that are not such records."""
        stream = BytesIO(body)
        return [self._next(stream) for _ in range(count)]

    def _next(self, stream: BinaryIO) -> dict[str, Any]:
        try:
            found: Any = fastavro.schemaless_reader(stream, self._schema, None)
            for name in self.unscaled:
                value = found[name]
                if value is not None:
                    found[name] = int.from_bytes(value, "big", signed=True)
        except _DAMAGED as error:
            raise ValueError(f"not a {self.full_name} record: {error!r}") from None
        return found  # type: ignore[no-any-return]  # a record schema gives a dict


class UnscaledRecords:
    """Reads records of several schemas: those of a type that has grown."""

    def __init__(self) -> None:
        self._readers: dict[RecordSchema, UnscaledReader] = {}

    def record(self, schema: RecordSchema, body: bytes) -> dict[str, Any]:
        """The record of one Avro body. ValueError for bytes that are not such a record."""
        reader = self._readers.get(schema)
        if reader is None:
            reader = self._readers[schema] = UnscaledReader(schema.text)
        return reader.record(body)


class UnscaledContainer:
    """One container file, from a stream that need not be able to seek (standard input).

    ``schema`` reads its records. SettingsError for a stream that is no container, or one of a codec that is not read
    here; DamagedFile for one that ends within its head.
    """

    def __init__(self, stream: BinaryIO, begun: bytes = b"") -> None:
        """``begun``: what of it was read before."""
        self._stream: ByteStream = _Resumed(begun, stream) if begun else stream
        try:
            text, self._deflate, self._sync = read_head(self._stream)
        except NotWhole:
            raise DamagedFile(_TORN) from None
        except MalformedContainer as error:
            raise SettingsError(str(error)) from None
        self.schema = UnscaledReader(text)

    def blocks(self) -> Iterator[list[dict[str, Any]]]:
        """The records of block after block. DamagedFile where the file is torn or damaged: what is before was given."""
        while (first := self._stream.read(1)) != b"":
            try:
                yield self._block(first)
            except NotWhole:
                raise DamagedFile(_TORN) from None
            except ValueError as error:
                raise DamagedFile(str(error)) from None

    def _block(self, first: bytes) -> list[dict[str, Any]]:
        count, size = read_long(self._stream, first), read_long(self._stream)
        if not 0 <= size <= LARGEST or count < 0:
            raise MalformedContainer(f"a block of {size} bytes")
        body = take(self._stream, size)
        if take(self._stream, SYNC_SIZE) != self._sync:
            raise MalformedContainer("no sync marker behind a block")
        return self.schema.records(inflated(body) if self._deflate else body, count)


class _Resumed:
    """A stream whose beginning was read before."""

    def __init__(self, begun: bytes, rest: BinaryIO) -> None:
        self._begun, self._rest = begun, rest

    def read(self, size: int, /) -> bytes:
        """See `ByteStream`."""
        found, self._begun = self._begun[:size], self._begun[size:]
        return found or self._rest.read(size)


def _bare(declared: Any) -> Any:
    """A schema without logical types."""
    if isinstance(declared, list):
        return [_bare(part) for part in declared]
    if not isinstance(declared, dict):
        return declared
    return {key: _bare(value) for key, value in declared.items() if key not in ("logicalType", "default", "doc")}
