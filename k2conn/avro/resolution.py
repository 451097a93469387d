"""Schema resolution: records that were written with another schema as records of ours.

The writer's schema is a stranger's text: it is read only as far as its fields are plain (so that a few bytes are never
a billion values), and what it says is put into a record by our own encoder, which checks every value. Fields go by
name. Decimals keep their value whatever the scale, or are refused: nothing is rounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import fastavro

from k2conn.avro.fields import SchemaField, default_of, parse_field
from k2conn.avro.schema import RecordSchema
from k2conn.errors import EncodeError, RecordError, SettingsError

LONGEST_SCHEMA = 256 * 1024
"""Characters of a schema that is read."""
MOST_FIELDS = 1000
_LONGEST_DECIMAL = 64
"""Bytes of a decimal that is looked at: more are more digits than any field of ours has."""
_PLAIN = ("string", "bytes", "boolean", "int", "long", "float", "double")
_WIDENED = {("int", "long"), ("timestamp-millis", "timestamp-micros")}
"""Kinds of the writer's that become another one of ours without a loss."""
_STRANGE = (
    AttributeError, KeyError, RecursionError, TypeError, ValueError, fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
)
"""What fastavro raises for texts that are no schema."""
_DAMAGED = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, ValueError)
"""What it raises for bytes that are no record."""

Convert = Callable[[Any], Any]


def declared_name(text: str) -> str:
    """The full name of the record that a schema's text is about; SettingsError where it is about none."""
    declared = _read(text)
    return ".".join(filter(None, (declared.get("namespace"), declared["name"])))


class Resolution:
    """How records of a writer's schema become records of ``own``.

    SettingsError, with all problems, where they never can: a field is missing that has no default, or is of another
    type.
    """

    def __init__(self, text: str, own: RecordSchema) -> None:
        declared = _read(text)
        self.own = own
        self._fields = _writers(declared)
        self._takes: list[Convert] = []
        problems: list[str] = []
        for field in own.fields:
            try:
                self._takes.append(self._taken(field))
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError(*problems)
        self.same = [*self._fields] == [field.name for field in own.fields] and all(map(self._as_ours, own.fields))
        """Whether the bytes are the same, so that well-formed ones need not be read at all."""
        try:
            self._reading = fastavro.parse_schema(_bare(declared))
        except _STRANGE as error:
            raise SettingsError(f"no Avro schema: {error}") from None

    def body(self, body: bytes) -> bytes:
        """A record of theirs as a record of ours. RecordError, which names the field, where it is none."""
        stream = BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, self._reading, None)
        except _DAMAGED as error:
            raise _malformed(f"it is no record of its schema: {error!r}") from None
        if not isinstance(record, dict) or stream.tell() != len(body):
            raise _malformed(f"{len(body) - stream.tell()} bytes are behind the record")
        return self.own.encode([take(record) for take in self._takes])

    def _as_ours(self, field: SchemaField) -> bool:
        theirs = self._fields[field.name]
        return theirs is not None and (
            (theirs.kind, theirs.nullable, theirs.scale, theirs.symbols)
            == (field.kind, field.nullable, field.scale, field.symbols)
            and (not field.nullable or theirs.null_first == field.null_first)
        )

    def _taken(self, field: SchemaField) -> Convert:
        """How the value of a field is taken from a record of theirs."""
        name = field.name
        if name not in self._fields:
            if not field.has_default:
                raise SettingsError(f"it has no field {name}, which has no default")
            default = default_of(field)
            return lambda record: default
        theirs = self._fields[name]
        if theirs is None or (theirs.kind != field.kind and (theirs.kind, field.kind) not in _WIDENED):
            raise SettingsError(f"its field {name} is not {field.kind}")
        if field.kind == "decimal":
            convert = _decimal(field, theirs.scale)
            return lambda record: None if record[name] is None else convert(record[name])
        if theirs.kind == "timestamp-millis" and field.kind == "timestamp-micros":
            return lambda record: None if record[name] is None else record[name] * 1000
        return lambda record: record[name]


def _decimal(field: SchemaField, scale: int) -> Convert:
    up: int = 10 ** max(0, field.scale - scale)
    down: int = 10 ** max(0, scale - field.scale)

    def convert(value: bytes) -> int:
        if len(value) > _LONGEST_DECIMAL:
            raise EncodeError(field.name, value[:_LONGEST_DECIMAL], "overflow", f"{len(value)} bytes are no decimal")
        number, rest = divmod(int.from_bytes(value, "big", signed=True), down)
        if rest:
            text = f"it has more than {field.scale} decimals"
            raise EncodeError(field.name, number * down + rest, "overflow", text)
        return number * up

    return convert


def _malformed(text: str) -> RecordError:
    return RecordError(None, None, None, "malformed-frame", text)


# -- the writer's schema


def _read(text: str) -> Mapping[str, Any]:
    if len(text) > LONGEST_SCHEMA:
        raise SettingsError(f"the schema has {len(text)} characters, more than {LONGEST_SCHEMA}")
    try:
        declared = json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError("the schema is no JSON") from None
    if not isinstance(declared, dict) or declared.get("type") != "record" or not isinstance(declared.get("name"), str):
        raise SettingsError("the schema is not one of a record")
    fields = declared.get("fields")
    if not isinstance(fields, list) or len(fields) > MOST_FIELDS:
        raise SettingsError(f"the schema has no list of at most {MOST_FIELDS} fields")
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) and "type" in one for one in fields):
        raise SettingsError("the schema has a field without a name or a type")
    return declared


def _writers(declared: Mapping[str, Any]) -> dict[str, SchemaField | None]:
    """The fields; None for one of a type that no field of ours has, which is well as long as we have none of its name.

    SettingsError for a type that can hold any number of values in a few bytes.
    """
    known: dict[str, Mapping[str, Any]] = {}
    found: dict[str, SchemaField | None] = {}
    for one in declared["fields"]:
        name = one["name"]
        try:
            found[name] = parse_field({"name": name, "type": one["type"]}, known)
        except (SettingsError, *_STRANGE):
            if not _plain(one["type"], known):
                text = f"its field {name[:100]!r} is neither a plain type nor a list or map of one"
                raise SettingsError(text) from None
            found[name] = None
    return found


def _plain(declared: Any, known: dict[str, Mapping[str, Any]], nested: bool = False) -> bool:
    """Whether each value of a type takes a byte at least, and holds nothing within but a list or map of such."""
    if isinstance(declared, str):
        return declared in _PLAIN or declared in known
    if isinstance(declared, list):
        return not nested and all(one == "null" or _plain(one, known) for one in declared if not isinstance(one, list))
    if not isinstance(declared, dict):
        return False
    kind = declared.get("type")
    if isinstance(declared.get("name"), str) and kind in ("enum", "fixed"):
        size = declared.get("size", 1)
        known[declared["name"]] = declared
        return type(size) is int and size > 0
    if kind in ("array", "map") and not nested:
        return _plain(declared.get("items" if kind == "array" else "values"), known, nested=True)
    return isinstance(kind, str) and kind in _PLAIN


def _bare(declared: Any) -> Any:
    """Without logical types, which cost time and digits: numbers, and the bytes of decimals, stay as they are."""
    if isinstance(declared, list):
        return [_bare(one) for one in declared]
    if not isinstance(declared, dict):
        return declared
    return {key: _bare(value) for key, value in declared.items()
            if key not in ("logicalType", "default", "doc", "aliases")}
