"""Checked writers: one field's value to its Avro bytes, or an EncodeError that names the field.

The authority on what is accepted. ``compiled`` takes the common values past it and comes back here for all
others, so no fast path can let a bad value through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn.avro.fields import SchemaField
from k2conn.avro.varint import long_bytes
from k2conn.errors import EncodeError

Writer = Callable[[Any], bytes]

INT_MAX = 2**31 - 1


def checked_writer(field: SchemaField) -> Writer:
    """The writer of ``field``: value -> bytes; EncodeError for a value that does not fit."""
    plain = _WRITERS[field.kind](field)
    if not field.nullable:
        return plain
    null, value = (b"\x00", b"\x02") if field.null_first else (b"\x02", b"\x00")
    return lambda given: null if given is None else value + plain(given)


def fixed_bytes(field: SchemaField, value: object) -> bytes:
    """One value of ``field``, written now; EncodeError where it does not fit."""
    return checked_writer(field)(value)


def text_bytes(name: str, value: object) -> bytes:
    """A string as Avro writes it; not a str, or half a surrogate pair, is refused."""
    if not isinstance(value, str):
        raise EncodeError(name, value, "bad-type", f"expected text, got {_kind_of(value)}")
    try:
        body = value.encode("utf-8")
    except UnicodeEncodeError:
        raise EncodeError(name, value, "bad-type", "half a surrogate pair is not text") from None
    return long_bytes(len(body)) + body


def _string(field: SchemaField) -> Writer:
    return lambda value: text_bytes(field.name, value)


def _bytes(field: SchemaField) -> Writer:
    def write(value: object) -> bytes:
        if not isinstance(value, bytes):
            raise EncodeError(field.name, value, "bad-type", f"expected bytes, got {_kind_of(value)}")
        return long_bytes(len(value)) + value

    return write


def _boolean(field: SchemaField) -> Writer:
    def write(value: object) -> bytes:
        if not isinstance(value, bool):
            raise EncodeError(field.name, value, "bad-type", f"expected true or false, got {_kind_of(value)}")
        return b"\x01" if value else b"\x00"

    return write


def _integer(field: SchemaField) -> Writer:
    limit = INT_MAX if field.kind in ("int", "date") else 2**63 - 1

    def write(value: object) -> bytes:
        number = _whole(field.name, value)
        if not -limit - 1 <= number <= limit:
            raise EncodeError(field.name, value, "overflow", f"does not fit {field.kind}")
        return long_bytes(number)

    return write


def _decimal(field: SchemaField) -> Writer:
    limit = 10**field.precision

    def write(value: object) -> bytes:
        number = _whole(field.name, value)
        if not -limit < number < limit:
            text = f"does not fit decimal({field.precision},{field.scale}) as an unscaled integer"
            raise EncodeError(field.name, value, "overflow", text)
        size = (number if number >= 0 else ~number).bit_length() // 8 + 1
        return long_bytes(size) + number.to_bytes(size, "big", signed=True)

    return write


def _enum(field: SchemaField) -> Writer:
    table = {symbol: long_bytes(index) for index, symbol in enumerate(field.symbols)}

    def write(value: object) -> bytes:
        if not isinstance(value, str) or value not in table:
            reason = "unknown-side" if field.is_side else "bad-type"
            raise EncodeError(field.name, value, reason, f"expected one of {', '.join(table)}")
        return table[value]

    return write


def _array(field: SchemaField) -> Writer:
    def write(value: object) -> bytes:
        if not isinstance(value, list | tuple):
            raise EncodeError(
                field.name, value, "bad-type", f"expected a list of text, got {_kind_of(value)}"
            )
        if not value:
            return b"\x00"
        return b"".join([long_bytes(len(value)), *(text_bytes(field.name, item) for item in value), b"\x00"])

    return write


def _map(field: SchemaField) -> Writer:
    def write(value: object) -> bytes:
        if not isinstance(value, Mapping):
            raise EncodeError(field.name, value, "bad-type", f"expected a map of text, got {_kind_of(value)}")
        if not value:
            return b"\x00"
        parts = [long_bytes(len(value))]
        for key, item in value.items():
            parts += (text_bytes(field.name, key), text_bytes(f"{field.name}.{key}", item))
        return b"".join([*parts, b"\x00"])

    return write


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise EncodeError(name, value, "bad-type", f"expected a whole number, got {_kind_of(value)}")
    return value


def _kind_of(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


_WRITERS: dict[str, Callable[[SchemaField], Writer]] = {
    "string": _string,
    "bytes": _bytes,
    "boolean": _boolean,
    "int": _integer,
    "long": _integer,
    "timestamp-micros": _integer,
    "timestamp-millis": _integer,
    "date": _integer,
    "decimal": _decimal,
    "enum": _enum,
    "array<string>": _array,
    "map<string>": _map,
}
