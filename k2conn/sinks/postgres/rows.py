"""Rows: the Avro bodies of records as PostgreSQL's binary COPY has them, without a value between that could be rounded.

A column's bytes are PostgreSQL's own: numeric in digits to the base 10,000 with its scale, times in microseconds since
2000, maps as the text of JSON. `k2conn.native.copy_rows` does the same in C, many times as fast; what it does not
handle, and everything where it was not built, is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from struct import Struct, error
from typing import Any
from uuid import UUID

from k2conn import native
from k2conn.avro import RecordSchema, SchemaField
from k2conn.avro.described import described
from k2conn.sinks.batching import BatchRefused

EPOCH_MICROS = 946_684_800_000_000
EPOCH_DAYS = 10_957
HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TAIL = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
TEXT_OID = 25
ID = "message_id"
"""The field whose column is a uuid."""

Packer = Callable[[Any], bytes]

_LENGTH, _COUNT = Struct(">i"), Struct(">h")
_SHORT, _INT, _LONG = Struct(">ib"), Struct(">ii"), Struct(">iq")
_NUMERIC = Struct(">ihhHh")
_ARRAY = Struct(">iiiii")


class RowFormat:
    """The rows of records of one schema, in the order of the columns of ``key``: two that write the same keys then wait
    for each other, and never in a circle.
    """

    def __init__(self, schema: RecordSchema, key: Sequence[str] = ()) -> None:
        self._schema = schema
        self._packers = [(field.name, _packer(field)) for field in schema.fields]
        self._columns = described(schema.fields, uuid=ID)
        self._keys = tuple(schema.index(name) for name in key)
        self._head = _COUNT.pack(len(schema.fields))

    def rows(self, bodies: Sequence[bytes]) -> bytes:
        """All of a COPY's data. BatchRefused where a body is no record of the schema, or a value fits no column."""
        if native.rows is not None:
            made: bytes | None = native.rows(self._columns, tuple(bodies), self._keys)
            if made is not None:
                return made
        rows = [self._row(body) for body in bodies]
        if self._keys:
            rows.sort(key=lambda row: [row[1 + place] for place in self._keys])
        return HEAD + b"".join([part for row in rows for part in row]) + TAIL

    def _row(self, body: bytes) -> list[bytes]:
        try:
            record = self._schema.decode(body)
        except ValueError as malformed:
            raise BatchRefused(str(malformed)) from None
        parts = [self._head]
        for name, pack in self._packers:
            value = record[name]
            try:
                parts.append(NULL if value is None else pack(value))
            except (ValueError, OverflowError, error) as unfit:
                raise BatchRefused(f"{name}: {unfit}") from None
        return parts


def _packer(field: SchemaField) -> Packer:
    if field.kind == "decimal":
        return lambda value: numeric(_unscaled(value), field.scale)
    return _PACKERS["uuid" if field.name == ID else field.kind]


def _unscaled(value: Decimal) -> int:
    """The digits of a decimal as one integer; arithmetic of decimals would round those of 38 digits."""
    return int(format(value, "f").replace(".", ""))


def numeric(unscaled: int, scale: int) -> bytes:
    """A numeric column, its length first."""
    sign = 0x4000 if unscaled < 0 else 0
    whole, part = divmod(abs(unscaled), 10**scale)
    padding = -scale % 4
    part *= 10**padding
    digits: list[int] = []
    for _ in range((scale + padding) // 4):
        part, digit = divmod(part, 10_000)
        digits.append(digit)
    before = 0
    while whole:
        whole, digit = divmod(whole, 10_000)
        digits.append(digit)
        before += 1
    head = _NUMERIC.pack(8 + 2 * len(digits), len(digits), before - 1, sign, scale)
    return head + _shorts(len(digits)).pack(*reversed(digits))


@cache
def _shorts(count: int) -> Struct:
    return Struct(f">{count}H")


def _bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _uuid(value: str) -> bytes:
    if len(value) != 36:
        raise ValueError(f"{value[:40]!r} is no UUID")
    return _bytes(UUID(value).bytes)


def _texts(values: Sequence[str]) -> bytes:
    if not values:
        return _bytes(_ARRAY.pack(0, 0, TEXT_OID, 0, 0)[:12])
    return _bytes(_ARRAY.pack(1, 0, TEXT_OID, len(values), 1) + b"".join(map(_text, values)))


def _map(values: dict[str, str]) -> bytes:
    inside = ",".join([f"{_json(name)}:{_json(value)}" for name, value in values.items()])
    return _text(f"\x01{{{inside}}}")


_ESCAPES = {code: f"\\u{code:04x}" for code in range(32)} | {ord('"'): '\\"', ord("\\"): "\\\\"}


def _json(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


_PACKERS: dict[str, Packer] = {
    "string": _text,
    "enum": _text,
    "uuid": _uuid,
    "bytes": _bytes,
    "boolean": lambda value: _SHORT.pack(1, value),
    "int": lambda value: _INT.pack(4, value),
    "long": lambda value: _LONG.pack(8, value),
    "timestamp-micros": lambda value: _LONG.pack(8, value - EPOCH_MICROS),
    "timestamp-millis": lambda value: _LONG.pack(8, value * 1000 - EPOCH_MICROS),
    "date": lambda value: _INT.pack(4, value - EPOCH_DAYS),
    "array<string>": _texts,
    "map<string>": _map,
}
