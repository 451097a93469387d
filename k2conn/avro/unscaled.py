"""Records of any record schema as they are written: decimals as unscaled whole numbers, times as whole numbers.

The quick way for whoever reckons with many records: no Decimal is made. Container files are read block by block, so
that one of any size takes the memory of one block.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO

import fastavro

from k2conn.avro.container import MAGIC
from k2conn.avro.fields import SchemaField, parse_field
from k2conn.errors import SettingsError

MOST_BLOCK = 256 * 1024 * 1024
"""Bytes of one block of a container file, packed or not; writers make some tens of thousands."""
_MOST_HEADER = 16 * 1024 * 1024
_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)
"""What fastavro raises for bytes that are no record of the schema."""


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


class UnscaledContainer:
    """One container file, from a stream that need not be able to seek (standard input).

    ``schema`` reads its records. SettingsError for a stream that is no container, or one of a codec that is not read
    here; DamagedFile for one that ends within its header.
    """

    def __init__(self, stream: BinaryIO, begun: bytes = b"") -> None:
        """``begun``: what of it was read before."""
        self._stream = stream
        self._begun = begun
        if self._take(len(MAGIC)) != MAGIC:
            raise SettingsError("no Avro container")
        entries = self._header()
        self.schema = UnscaledReader(entries.get("avro.schema", b"").decode("utf-8", "replace"))
        codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in ("null", "deflate"):
            raise SettingsError(f"its blocks are packed with {codec!r}, and only deflate is read here")
        self._deflate = codec == "deflate"
        self._sync = self._take(16)

    def blocks(self) -> Iterator[list[dict[str, Any]]]:
        """The records of block after block. DamagedFile where the file is torn or damaged: what is before was given."""
        while (first := self._take(1, end=True)) != b"":
            count, size = self._long(first), self._long()
            if not 0 <= size <= MOST_BLOCK or count < 0:
                raise DamagedFile(f"a block of {size} bytes")
            body = self._take(size)
            if self._take(16) != self._sync:
                raise DamagedFile("no sync marker behind a block")
            try:
                yield self.schema.records(_inflated(body) if self._deflate else body, count)
            except (ValueError, zlib.error) as error:
                raise DamagedFile(str(error)) from None

    def _header(self) -> dict[str, bytes]:
        entries: dict[str, bytes] = {}
        left = _MOST_HEADER
        while (count := self._long()) != 0:
            if count < 0:
                count, _ = -count, self._long()
            for _ in range(count):
                key, value = (self._sized(left) for _ in range(2))
                left -= len(key) + len(value)
                entries[key.decode("utf-8", "replace")] = value
        return entries

    def _sized(self, most: int) -> bytes:
        size = self._long()
        if not 0 <= size <= most:
            raise DamagedFile("its header is damaged")
        return self._take(size)

    def _long(self, first: bytes = b"") -> int:
        number = shift = 0
        byte = first or self._take(1)
        while True:
            number |= (byte[0] & 127) << shift
            if byte[0] < 128:
                return (number >> 1) ^ -(number & 1)
            shift += 7
            if shift > 63:
                raise DamagedFile("a number of more than 64 bits")
            byte = self._take(1)

    def _take(self, size: int, end: bool = False) -> bytes:
        """So many bytes; ``end``: none, where the file may be over here."""
        found, self._begun = self._begun[:size], self._begun[size:]
        while len(found) < size:
            more = self._stream.read(size - len(found))
            if not more:
                if end and not found:
                    return b""
                raise DamagedFile("it ends in the middle")
            found += more
        return found


def _inflated(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    found = unpacker.decompress(body, MOST_BLOCK)
    if unpacker.unconsumed_tail:
        raise DamagedFile(f"a block of more than {MOST_BLOCK} bytes")
    return found


def _bare(declared: Any) -> Any:
    """A schema without logical types."""
    if isinstance(declared, list):
        return [_bare(part) for part in declared]
    if not isinstance(declared, dict):
        return declared
    return {key: _bare(value) for key, value in declared.items() if key not in ("logicalType", "default", "doc")}
