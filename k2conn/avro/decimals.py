"""The size of v2's decimals: decimal(18,8), or decimal(38,18) in all records of a process (``K2_DECIMALS=38,18``).

A record type has one profile and a schema for each size. The one for 38,18 is the file of the same name in the folder
``38-18`` beside the other; where there is none, it is the other one with each decimal(18,8) made a decimal(38,18).
Decimals of other sizes are their author's own and stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from k2conn.avro.fields import SchemaField
from k2conn.errors import SettingsError

VARIABLE = "K2_DECIMALS"


class DecimalSize(NamedTuple):
    """Digits in all, and those behind the point."""

    precision: int
    scale: int

    def __str__(self) -> str:
        return f"{self.precision},{self.scale}"

    @property
    def folder(self) -> str:
        """Where schemas of this size are, beside those of the default."""
        return f"{self.precision}-{self.scale}"


V2 = DecimalSize(18, 8)
WIDE = DecimalSize(38, 18)
_used = V2


def decimals_used() -> DecimalSize:
    """The size that records of this process have."""
    return _used


def use_decimals(size: DecimalSize) -> None:
    """From now on records have decimals of this size: to be said before any schema is read."""
    global _used
    _used = size


def read_decimals(text: str) -> DecimalSize:
    """The size that a setting says; SettingsError where there is no such size."""
    digits = text.replace(" ", "")
    for size in (V2, WIDE):
        if digits == str(size):
            return size
    raise SettingsError(f"{VARIABLE} '{text[:40]}': say {V2} (the default) or {WIDE}")


def size_of(fields: Sequence[SchemaField]) -> DecimalSize:
    """The size that a schema is of; that of this process where its decimals, if any, have a size of their own."""
    for field in fields:
        for size in (V2, WIDE):
            if field.kind == "decimal" and (field.precision, field.scale) == size:
                return size
    return _used


def widened(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A record schema with each decimal(18,8) made a decimal(38,18), defaults with it."""
    return {**declared, "fields": [_widened_field(field) for field in declared["fields"]]}


def differences(narrow: tuple[SchemaField, ...], wide: tuple[SchemaField, ...]) -> list[str]:
    """In what else than in the size of decimals, defaults and documentation two schemas differ: a line each."""
    told = [[_shape(field) for field in fields] for fields in (narrow, wide)]
    names = [[field.name for field in fields] for fields in (narrow, wide)]
    if names[0] != names[1]:
        return [f"has other fields, or in another order: {', '.join(names[1])}; not {', '.join(names[0])}"]
    return [f"schema field {field.name}: is another type there" for field, one, two in zip(narrow, *told, strict=True)
            if one != two]


def _shape(field: SchemaField) -> tuple[object, ...]:
    return field.kind, field.nullable, field.null_first, field.has_default, field.symbols


def _widened_field(field: Any) -> Any:
    if not isinstance(field, Mapping) or "type" not in field:
        return field  # no field at all, which reading the schema says
    declared = field["type"]
    of = declared if isinstance(declared, list) else [declared]
    if not any(map(_is_v2, of)):
        return field
    wide = [_widened_type(one) for one in of]
    found = {**field, "type": wide if isinstance(declared, list) else wide[0]}
    if isinstance(found.get("default"), str):
        found["default"] = _widened_default(found["default"])
    return found


def _is_v2(declared: Any) -> bool:
    return isinstance(declared, Mapping) and declared.get("logicalType") == "decimal" and (
        (declared.get("precision"), declared.get("scale")) == V2
    )


def _widened_type(declared: Any) -> Any:
    return {**declared, "precision": WIDE.precision, "scale": WIDE.scale} if _is_v2(declared) else declared


def _widened_default(text: str) -> str:
    """Avro writes the default of bytes as text, a character for each byte."""
    number: int = int.from_bytes(text.encode("latin-1"), "big", signed=True) * 10 ** (WIDE.scale - V2.scale)
    size: int = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True).decode("latin-1")
