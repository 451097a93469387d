"""Record schemas: ``schemas/<name>_v2.avsc`` as the encoder, the decoder and the schema registry need them.

The only module that uses fastavro, which decodes what the compiled encoder writes (and is its reference in the tests).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from k2conn.avro.compiled import compile_encoder
from k2conn.avro.decimals import V2, DecimalSize, decimals_used, differences, size_of, widened
from k2conn.avro.fields import SchemaField, parse_field
from k2conn.errors import SettingsError
from k2conn.resources import record_files

Encode = Callable[[Sequence[object]], bytes]
Constants = tuple[tuple[str, type, object], ...]
"""Names, kinds and values: True is another constant than 1."""

_PLAIN = (str, int, bool, bytes, type(None))
"""The kinds of constants whose equality is plain."""
_COMPILED = 256
"""Encoders that a schema keeps; more would be made anew."""


class RecordSchema:
    """One record type.

    ``name`` is the short name ("trade"), ``full_name`` Avro's, ``text`` the JSON to register (the same for
    the same file, documentation included), ``fields`` the fields in writing order.
    """

    def __init__(self, name: str, text: str) -> None:
        """Read an ``.avsc`` text; SettingsError, with one line for each problem, for what is no record schema and for
        types this project does not write.
        """
        declared = _declared(text)
        self.name = name
        self.full_name = ".".join(filter(None, (declared.get("namespace"), declared["name"])))
        self.text = json.dumps(declared, separators=(",", ":"), ensure_ascii=False)
        self.fields: tuple[SchemaField, ...] = _fields(declared["fields"])
        self._index = {field.name: index for index, field in enumerate(self.fields)}
        self._encode = compile_encoder(self.fields, {})
        self._compiled: dict[Constants, Encode] = {}
        self._reading = _parsed(_without_times(declared))
        self._bare = _parsed(_without_logical_types(declared))

    def __repr__(self) -> str:
        return f"<RecordSchema {self.full_name}>"

    @property
    def decimals(self) -> DecimalSize:
        """The size of its decimals: v2's, or the larger one."""
        return size_of(self.fields)

    def index(self, name: str) -> int:
        """The place of field ``name`` in the writing order; KeyError where there is no such field."""
        return self._index[name]

    def encode(self, values: Sequence[object]) -> bytes:
        """The Avro body of one record, without framing. ``values`` are in schema order, as ``SchemaField``
        says.

        Raises EncodeError, which names the field, for a value that does not fit.
        """
        return self._encode(values)

    def compile(self, constants: Mapping[str, object]) -> Encode:
        """An ``encode`` in which the fields named in ``constants`` are fixed: what ``values`` holds there is
        ignored.

        The same constants give the same encoder: the symbols of a stream, and its connections, share them. Raises
        EncodeError for a constant that does not fit its field.
        """
        key = tuple((name, type(constants[name]), constants[name]) for name in sorted(constants))
        if not all(kind in _PLAIN for _, kind, _ in key):
            return compile_encoder(self.fields, constants)
        found = self._compiled.get(key)
        if found is None:
            if len(self._compiled) >= _COMPILED:
                self._compiled.clear()
            found = self._compiled[key] = compile_encoder(self.fields, constants)
        return found

    def decode(self, body: bytes) -> dict[str, Any]:
        """The record of one Avro body: decimals as Decimal at the field's scale, times as int since 1970 UTC
        in the field's unit (a date's is the day), all else as its JSON type. ValueError for bytes that are not such a
        record.
        """
        stream = BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, self._reading, None)
        except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
            raise ValueError(f"not a {self.name} record: {error!r}") from None
        if stream.tell() != len(body) or not isinstance(record, dict):
            raise ValueError(f"not a {self.name} record: {len(body) - stream.tell()} bytes too many")
        return record

    def decode_all(self, data: bytes, count: int) -> list[dict[str, Any]]:
        """So many records, one behind the other, as `decode` has them. ValueError for anything else."""
        stream, found = BytesIO(data), []
        try:
            for _ in range(count):
                found.append(fastavro.schemaless_reader(stream, self._reading, None))
        except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
            raise ValueError(f"not {count} {self.name} records: {error!r}") from None
        if stream.tell() != len(data):
            raise ValueError(f"not {count} {self.name} records: {len(data) - stream.tell()} bytes too many")
        return found  # type: ignore[return-value]  # a record's schema makes a dict

    def decode_bare(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """The records of some Avro bodies, as quickly as they can be read: times as ``decode`` has them, decimals as
        the bytes of their unscaled number (two's complement, the highest first). ValueError, which names the first one
        by its place, where one is no such record.
        """
        stream, read, schema = BytesIO(b"".join(bodies)), fastavro.schemaless_reader, self._bare
        found: list[dict[str, Any]] = []
        end = 0
        for at, body in enumerate(bodies):
            end += len(body)
            try:
                found.append(read(stream, schema, None))  # type: ignore[arg-type] # of a record it makes a dict
            except (EOFError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
                raise ValueError(f"number {at} is not a {self.name} record: {error!r}") from None
            if stream.tell() != end:
                raise ValueError(f"number {at} is not a {self.name} record: {end - stream.tell()} bytes too many")
        return found

    def decode_plain(self, body: bytes) -> dict[str, Any]:
        """Like ``decode``, ready for JSON: decimals as text without exponent or trailing zeros."""
        record = self.decode(body)
        return {
            name: plain_text(value) if isinstance(value, Decimal) else value for name, value in record.items()
        }


def plain_text(number: Decimal) -> str:
    """``number`` in its shortest plain notation: "64000.1", "0.00000001", "0"."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def known_schemas() -> tuple[str, ...]:
    """The short names of all record types, sorted: those that ship with k2conn, and those that were added."""
    return tuple(sorted(record_files()))


def load_schema(name: str) -> RecordSchema:
    """The schema of the record type ``name`` ("trade" is ``schemas/trade_v2.avsc``), read once: its first revision.

    SettingsError, listing the known ones, where there is no such type.
    """
    path = record_files().get(name)
    if path is None:
        raise SettingsError(f"no record type {name!r}; known are {', '.join(known_schemas())}")
    return read_schema(name, path)


def read_schema(name: str, path: Path, size: DecimalSize | None = None) -> RecordSchema:
    """The schema of one ``.avsc`` file, read once, with decimals of that size (None: those of this process).

    SettingsError, with the file's name, where it is none, or where the file for larger decimals is not its like.
    """
    return _read(name, path, size or decimals_used())


def wide_file(path: Path, size: DecimalSize) -> Path:
    """Where the schema with larger decimals is, if its author has written one: in a folder beside the other."""
    return path.parent / size.folder / path.name


@cache
def _read(name: str, path: Path, size: DecimalSize) -> RecordSchema:
    if size == V2:
        return _parse(name, path, lambda text: text)
    narrow, wide = _read(name, path, V2), wide_file(path, size)
    if not wide.is_file():
        return _parse(name, path, lambda text: json.dumps(widened(json.loads(text)), ensure_ascii=False))
    found = _parse(name, wide, lambda text: text)
    problems = differences(narrow.fields, found.fields)
    if found.full_name != narrow.full_name:
        problems.append(f"is named {found.full_name}, not {narrow.full_name}")
    if problems:
        raise SettingsError("\n".join(f"{wide}: not the like of {path}: {line}" for line in problems))
    return found


def _parse(name: str, path: Path, change: Callable[[str], str]) -> RecordSchema:
    try:
        return RecordSchema(name, change(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except SettingsError as error:
        lines = [f"{path}: {line}" for line in str(error).splitlines()]
        raise SettingsError("\n".join(lines)) from None


def _declared(text: str) -> dict[str, Any]:
    """What a record schema's text says, as far as it is one."""
    try:
        declared = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"no JSON: {error}") from None
    if not isinstance(declared, dict) or declared.get("type") != "record" or not declared.get("fields"):
        raise SettingsError('no record schema: it is {"type": "record", "name": ..., "fields": [...]}')
    if not isinstance(declared.get("name"), str) or not isinstance(declared["fields"], list):
        raise SettingsError("a record schema has a name and a list of fields")
    return declared


def _fields(declared: Sequence[Any]) -> tuple[SchemaField, ...]:
    """All fields; SettingsError with the problems of each of them."""
    known: dict[str, Mapping[str, Any]] = {}
    found: dict[str, SchemaField] = {}
    problems: list[str] = []
    for at, one in enumerate(declared):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or "type" not in one:
            problems.append(f"field {at + 1} has no name or no type")
            continue
        try:
            field = parse_field(one, known)
        except SettingsError as error:
            problems.append(str(error))
            continue
        except (KeyError, TypeError, AttributeError):
            problems.append(f"schema field {one['name']}: {one['type']} is no Avro type")
            continue
        if field.name in found:
            problems.append(f"schema field {field.name}: it stands here twice")
        found[field.name] = field
    if problems:
        raise SettingsError("\n".join(problems))
    return tuple(found.values())


def _parsed(declared: Any) -> Any:
    try:
        return fastavro.parse_schema(declared)
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, ValueError, TypeError) as error:
        raise SettingsError(f"no Avro schema: {error}") from None


def _without_logical_types(declared: Any) -> Any:
    if isinstance(declared, list):
        return [_without_logical_types(part) for part in declared]
    if not isinstance(declared, dict):
        return declared
    return {key: _without_logical_types(value) for key, value in declared.items()
            if key not in ("default", "logicalType", "precision", "scale", "doc")}


def _without_times(declared: Any) -> Any:
    # fastavro's datetimes end with the year 9999 and cost time; a plain number keeps every value.
    if isinstance(declared, list):
        return [_without_times(part) for part in declared]
    if not isinstance(declared, dict):
        return declared
    kept = {key: _without_times(value) for key, value in declared.items() if key != "default"}
    if str(kept.get("logicalType", "")).startswith(("timestamp-", "date")):
        del kept["logicalType"]
    return kept
