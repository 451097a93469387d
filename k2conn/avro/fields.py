"""Record fields: what one field of a record schema may hold, read from its Avro type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k2conn.errors import SettingsError

PLAIN = ("string", "bytes", "boolean", "int", "long")
LOGICAL = {
    ("long", "timestamp-micros"): "timestamp-micros",
    ("long", "timestamp-millis"): "timestamp-millis",
    ("int", "date"): "date",
}
MOST_DIGITS = 1000
"""The largest precision of a decimal. Its tables grow with it: a schema that names a billion would never be ready."""
KINDS = (*PLAIN, *LOGICAL.values(), "decimal", "enum", "array<string>", "map<string>")


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One field. ``kind`` is one of ``KINDS``; a value for the encoder is, by kind:

    - string: str; enum: str, one of ``symbols``; bytes: bytes; boolean: bool
    - int, long: int; timestamp-micros, timestamp-millis: int since 1970 UTC; date: int, days since 1970
    - decimal: the unscaled int at the field's ``scale`` (64000.1 at scale 8 is 6400010000000)
    - array<string>: list or tuple of str; map<string>: mapping of str to str
    - any kind that is ``nullable``: None as well
    """

    name: str
    kind: str
    nullable: bool = False
    null_first: bool = True
    has_default: bool = False
    default: object = None
    precision: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()
    doc: str = ""

    @property
    def is_side(self) -> bool:
        """Whether it is an enum that tells buyers from sellers: connector files have words of their own for those."""
        return {"BUY", "SELL"} <= set(self.symbols)


def parse_field(field: Mapping[str, Any], known: dict[str, Mapping[str, Any]]) -> SchemaField:
    """One entry of a record's ``fields``. ``known`` are the named types seen so far (and grows).

    Raises SettingsError for a type this project does not write: binary floats above all, which cannot be
    exact.
    """
    name = field["name"]
    branch, nullable, null_first = _branch(name, field["type"])
    if isinstance(branch, str):
        branch = known.get(branch, branch)
    if isinstance(branch, Mapping) and "name" in branch:
        known[branch["name"]] = branch
    return SchemaField(
        name=name,
        nullable=nullable,
        null_first=null_first,
        has_default="default" in field,
        default=field.get("default"),
        doc=field.get("doc", ""),
        **_kind(name, branch),
    )


def default_of(field: SchemaField) -> Any:
    """The encoder's value of a field's default in the schema, where it has one; ValueError or TypeError for a default
    that is written otherwise than Avro has it. Whether the value fits is for the encoder to say.
    """
    default: Any = field.default
    if default is None:
        return None
    if field.kind == "bytes":
        return default.encode("latin-1")
    if field.kind == "decimal":  # Avro writes the default of bytes as text, a character for each byte
        return int.from_bytes(default.encode("latin-1"), "big", signed=True)
    return default


def _branch(name: str, declared: Any) -> tuple[Any, bool, bool]:
    if not isinstance(declared, list):
        return declared, False, True
    rest = [branch for branch in declared if branch != "null"]
    if len(rest) != 1 or len(declared) != 2:
        raise SettingsError(f"schema field {name}: of unions only [null, one type] is written here")
    return rest[0], True, declared[0] == "null"


def _kind(name: str, declared: Any) -> dict[str, Any]:
    if isinstance(declared, str):
        declared = {"type": declared}
    base, logical = declared["type"], declared.get("logicalType")
    if base == "bytes" and logical == "decimal":
        precision, scale = declared.get("precision"), declared.get("scale", 0)
        if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or not precision:
            text = f"a decimal has a precision of 1 or more and a scale up to it, not {precision} and {scale}"
            raise SettingsError(f"schema field {name}: {text}")
        if precision > MOST_DIGITS:
            text = f"a decimal has a precision of at most {MOST_DIGITS}, not {precision}"
            raise SettingsError(f"schema field {name}: {text}")
        return {"kind": "decimal", "precision": precision, "scale": scale}
    if base == "enum":
        return {"kind": "enum", "symbols": tuple(declared["symbols"])}
    if base == "array" and declared["items"] == "string":
        return {"kind": "array<string>"}
    if base == "map" and declared["values"] == "string":
        return {"kind": "map<string>"}
    if base in PLAIN and (logical is None or (base, logical) in LOGICAL):
        return {"kind": LOGICAL.get((base, logical), base)}
    raise SettingsError(f"schema field {name}: type {declared} is not one of {', '.join(KINDS)}")
