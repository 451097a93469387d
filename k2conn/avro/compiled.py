"""The compiled encoder: a whole record to its Avro body in a few microseconds.

A schema becomes a short list of *pieces*, each a closure that takes the record's values and gives the bytes
of one field or of neighbours: adjacent strings are joined as text and encoded once, adjacent decimals share a
call, and constant fields are bytes already, melted into the piece before them. A piece handles the common
values only; whatever else (long or non-ASCII text, negative numbers, wrong types) makes it fall back to the
checked writers, which either know the bytes or raise. Measured side by side: 3.6 us where one closure a field
costs 5.9 and fastavro 15.7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k2conn.avro.checked import Writer, checked_writer
from k2conn.avro.fields import SchemaField
from k2conn.avro.varint import LAST_ZIGZAG, LENGTH, LENGTH_TEXT, MORE_ZIGZAG, varint
from k2conn.errors import EncodeError

Values = Sequence[Any]
Piece = Callable[[Values], bytes]

UNUSUAL = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
"""What a fast path raises for a value that it does not handle; the checked writers then decide."""

KEPT = 1024
"""Entries that a look-up of map keys or upper number parts may have."""


def compile_encoder(fields: Sequence[SchemaField], constants: Mapping[str, object]) -> Piece:
    """An encoder for ``fields``; those named in ``constants`` are encoded now and their values ignored later.

    Raises EncodeError for a constant that does not fit, or that names no field. The encoder raises
    EncodeError for a value that does not fit, and for a record of the wrong length.
    """
    unknown = sorted(set(constants) - {field.name for field in fields})
    if unknown:
        raise EncodeError(unknown[0], constants[unknown[0]], "bad-type", "no such field in the schema")
    places = {field.name: place for place, field in enumerate(fields)}
    pieces = compile_pieces(fields, constants, 0, len(fields), places)
    count = len(fields)

    def encode(values: Values) -> bytes:
        if len(values) != count:
            raise EncodeError("record", values, "bad-type", f"expected {count} values, got {len(values)}")
        parts = []
        for piece in pieces:
            parts.append(piece(values))
        return b"".join(parts)

    return encode


def compile_pieces(
    fields: Sequence[SchemaField],
    constants: Mapping[str, object],
    first: int,
    end: int,
    places: Mapping[str, int],
) -> list[Piece]:
    """The pieces of the fields from ``first`` to before ``end``, in order; ``places`` says where in the values a
    field's value is.

    From the left: the longest run that one piece can write, and the constants after it.
    """
    pieces: list[Piece] = []
    fields, at = fields[:end], first
    while at < end:
        start, run = at, _run(fields, at, constants, places)
        at += len(run)
        after = b""
        while at < end and fields[at].name in constants:
            after += checked_writer(fields[at])(constants[fields[at].name])
            at += 1
        pieces.append(_piece(run, places[fields[start].name] if run else 0, after))
    return pieces


def _run(
    fields: Sequence[SchemaField], at: int, constants: Mapping[str, object], places: Mapping[str, int]
) -> list[SchemaField]:
    if fields[at].name in constants:
        return []
    run = [fields[at]]
    longest = _LONGEST.get(fields[at].kind, 1)
    while len(run) < longest and at + len(run) < len(fields):
        candidate = fields[at + len(run)]
        if (
            candidate.kind != run[0].kind
            or candidate.nullable
            or run[0].nullable
            or candidate.name in constants
            or places[candidate.name] != places[run[0].name] + len(run)
        ):
            break
        run.append(candidate)
    return run


_LONGEST = {"string": 3, "decimal": 2}


def _piece(run: Sequence[SchemaField], at: int, after: bytes) -> Piece:
    if not run:
        return lambda values: after
    slow = _slow(run, at, after)
    kind, field = run[0].kind, run[0]
    if kind == "string" and not field.nullable and after.isascii():
        return (_one_string, _two_strings, _three_strings)[len(run) - 1](at, after.decode("ascii"), slow)
    if kind == "decimal" and len(run) == 2:
        return _two_decimals(at, min(field.precision for field in run), after, slow)
    if kind in ("long", "timestamp-micros", "timestamp-millis") and field.null_first:
        return _long(at, _branches(field), after, slow)
    if kind == "map<string>" and field.null_first and after.isascii():
        return _map(at, _branches(field), after.decode("ascii"), slow)
    if kind == "array<string>" and not field.nullable:
        return _array(at, after, slow)
    if kind == "enum" and not field.nullable:
        return _enum(at, field, after, slow)
    return slow


def _slow(run: Sequence[SchemaField], at: int, after: bytes) -> Piece:
    writers: list[Writer] = [checked_writer(field) for field in run]

    def write(values: Values) -> bytes:
        return b"".join([writer(values[at + step]) for step, writer in enumerate(writers)]) + after

    return write


def _branches(field: SchemaField) -> tuple[bytes | None, bytes]:
    """What is written for None (None: not nullable), and before a value."""
    return (b"\x00", b"\x02") if field.nullable else (None, b"")


def _one_string(at: int, after: str, slow: Piece) -> Piece:
    lengths = LENGTH_TEXT

    def write(values: Values) -> bytes:
        try:
            one = values[at]
            text: str = lengths[len(one)] + one + after
            if text.isascii():
                return text.encode()
        except UNUSUAL:
            pass
        return slow(values)

    return write


def _two_strings(at: int, after: str, slow: Piece) -> Piece:
    lengths, end = LENGTH_TEXT, at + 2

    def write(values: Values) -> bytes:
        try:
            one, two = values[at:end]
            text = "".join((lengths[len(one)], one, lengths[len(two)], two, after))
            if text.isascii():
                return text.encode()
        except UNUSUAL:
            pass
        return slow(values)

    return write


def _three_strings(at: int, after: str, slow: Piece) -> Piece:
    lengths, end = LENGTH_TEXT, at + 3

    def write(values: Values) -> bytes:
        try:
            one, two, three = values[at:end]
            text = "".join(
                (lengths[len(one)], one, lengths[len(two)], two, lengths[len(three)], three, after)
            )
            if text.isascii():
                return text.encode()
        except UNUSUAL:
            pass
        return slow(values)

    return write


def _two_decimals(at: int, precision: int, after: bytes, slow: Piece) -> Piece:
    # The tables end with the last power of two inside the precision, and a negative int refuses to_bytes.
    sizes = [bits // 8 + 1 for bits in range((10**precision).bit_length())]
    lengths = [LENGTH[size] for size in sizes]
    other = at + 1

    def write(values: Values) -> bytes:
        one, two = values[at], values[other]
        if type(one) is int and type(two) is int:
            try:
                bits, more = one.bit_length(), two.bit_length()
                head = lengths[bits] + one.to_bytes(sizes[bits]) + lengths[more]
                return head + two.to_bytes(sizes[more]) + after
            except UNUSUAL:
                pass
        return slow(values)

    return write


def _long(at: int, branches: tuple[bytes | None, bytes], after: bytes, slow: Piece) -> Piece:
    null, before = branches
    nothing = None if null is None else null + after
    # The upper parts seen so far: times and ids change in their lower ones, for a while. A number below 2**13 has none.
    uppers: dict[int, bytes] = {}

    def other(values: Values) -> bytes:
        value = values[at]
        if type(value) is int and 0 <= value < 2**62:
            if value < 2**13:
                return before + LAST_ZIGZAG[value] + after
            if len(uppers) >= KEPT:
                uppers.clear()
            uppers[value >> 13] = varint(value >> 13) + after
            return before + varint(value << 1) + after
        return slow(values)

    def write(values: Values) -> bytes:
        value = values[at]
        if value is None and nothing is not None:
            return nothing
        try:
            upper = uppers.get(value >> 13)
            if upper is not None:
                written: bytes = before + MORE_ZIGZAG[value & 8191] + upper
                return written
        except UNUSUAL:
            pass
        return other(values)

    return write


def _map(at: int, branches: tuple[bytes | None, bytes], after: str, slow: Piece) -> Piece:
    null, before = branches
    nothing, start, end = None if null is None else null + after.encode(), before.decode(), "\x00" + after
    lengths = LENGTH_TEXT
    heads: dict[str, str] = {}  # the keys seen so far, each behind its length

    def learn(values: Values) -> bytes:
        body = slow(values)
        for key in values[at] or ():
            if key.isascii() and len(key) < len(lengths) and len(heads) < KEPT:
                heads[key] = lengths[len(key)] + key
        return body

    def write(values: Values) -> bytes:
        value = values[at]
        if not value:
            return nothing if value is None and nothing is not None else slow(values)
        try:
            parts = [start, lengths[len(value)]]
            for key, text in value.items():
                parts += (heads[key], lengths[len(text)], text)
            parts.append(end)
            joined = "".join(parts)
            if joined.isascii():
                return joined.encode()
        except UNUSUAL:
            pass
        return learn(values)

    return write


def _array(at: int, after: bytes, slow: Piece) -> Piece:
    empty = b"\x00" + after

    def write(values: Values) -> bytes:
        value = values[at]
        return empty if value == [] or value == () else slow(values)

    return write


def _enum(at: int, field: SchemaField, after: bytes, slow: Piece) -> Piece:
    writer = checked_writer(field)
    table = {symbol: writer(symbol) + after for symbol in field.symbols}

    def write(values: Values) -> bytes:
        try:
            return table[values[at]]
        except UNUSUAL:
            return slow(values)

    return write
