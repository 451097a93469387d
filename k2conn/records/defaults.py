"""What stands in a field that a connector file does not map: the schema's own default, or one in the profile."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from typing import Any

from k2conn.avro import SchemaField, default_of, fixed_bytes
from k2conn.errors import EncodeError, SettingsError

_WIDE = Context(prec=200)
"""Python's own is 28 digits: too few."""
_AS_WRITTEN = ("string", "boolean", "int", "long", "enum", "array<string>", "map<string>")
"""Kinds whose encoder's value is what TOML makes of it."""


def schema_default(field: SchemaField) -> object:
    """The encoder's value of the schema's default; SettingsError where that is none."""
    if field.nullable and field.null_first != (field.default is None):
        raise SettingsError("the default of a union is a value of its first type")
    try:
        return _checked(field, default_of(field))
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(f"{field.default!r} is no default of a {field.kind} field") from None


def profile_default(field: SchemaField, value: Any) -> object:
    """The encoder's value of a default that a profile says (TOML, numbers with a point as Decimal); SettingsError where
    it does not fit the field.
    """
    if field.kind == "decimal":
        return _checked(field, _unscaled(field, value))
    if field.kind not in _AS_WRITTEN:
        raise SettingsError(f"a {field.kind} field has no default here")
    return _checked(field, value)


def _unscaled(field: SchemaField, value: Any) -> int:
    try:
        exact = Decimal(value) if type(value) in (int, str, Decimal) else None
    except InvalidOperation:
        exact = None
    if exact is None or not exact.is_finite():
        raise SettingsError(f"{value!r} is no number")
    scaled = exact.scaleb(field.scale, _WIDE)
    if scaled != int(scaled):
        raise SettingsError(f"{value} has more than {field.scale} decimals")
    return int(scaled)


def _checked(field: SchemaField, value: Any) -> object:
    try:
        fixed_bytes(field, value)
    except EncodeError as error:
        raise SettingsError(error.detail) from None
    return value
