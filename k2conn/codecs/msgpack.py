"""MessagePack, with exact numbers (https://github.com/msgpack/msgpack/blob/master/spec.md).

Not by its library: that gives the same binary float for a number of 32 bits and of 64, which stand for different
decimals (see `k2conn.binary.floating`), and makes all values before it can be told that there are too many.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from k2conn import exactjson
from k2conn.binary import floating
from k2conn.binary.structures import Cursor
from k2conn.codecs.component import MOST_VALUES, MessageFormat, Settings
from k2conn.plan import Json

_NUMBERS = {code: struct.Struct(f">{kind}") for code, kind in zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True)}
_SIZES = {1: struct.Struct(">B"), 2: struct.Struct(">H"), 4: struct.Struct(">I")}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_SIZED_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_TIME = -1
_SINGLE = 0xCA
_DOUBLE = 0xCB
_NS = 1_000_000_000
_DEEPEST = 100
"""Arrays and maps that may lie in one another: each is read by a call within the call that reads the one around it."""


class MessagePack(MessageFormat):
    """One MessagePack value a frame. Bytes become base64 text, a timestamp nanoseconds since 1970."""

    description = "MessagePack; bytes become base64 text, timestamps nanoseconds since 1970"
    shallow = True
    frugal = True

    def decoder(self, settings: Settings) -> Callable[[bytes], Json]:
        """The function from a frame to its value."""

        def decode(data: bytes) -> Json:
            cursor = Cursor(data, MOST_VALUES)
            found = _value(cursor, _DEEPEST)
            if cursor.at != cursor.end:
                raise ValueError(f"{cursor.end - cursor.at} bytes after the end of the value")
            return found

        return decode

    def encoder(self, settings: Settings) -> Callable[[bytes], bytes | None]:
        """The function from JSON text to MessagePack; a number with a fraction takes 64 bits. None for no JSON, and
        for a number beyond them.
        """

        def encode(text: bytes) -> bytes | None:
            out = bytearray()
            try:
                _write(exactjson.decode(text), out)
            except ValueError:
                return None
            return bytes(out)

        return encode


def _value(cursor: Cursor, depth: int) -> Any:
    code = cursor.data[cursor.take(1)]
    if code <= 0x7F:
        return code
    if code >= 0xE0:
        return code - 0x100
    if code <= 0x8F:
        return _map(cursor, code & 0x0F, depth)
    if code <= 0x9F:
        return _array(cursor, code & 0x0F, depth)
    if code <= 0xBF:
        return _bytes(cursor, code & 0x1F).decode()
    number = _NUMBERS.get(code)
    if number is not None:
        found = number.unpack_from(cursor.data, cursor.take(number.size))[0]
        if code > _DOUBLE:
            return found
        return floating.single(found) if code == _SINGLE else floating.double(found)
    return _long(cursor, code, depth)


def _long(cursor: Cursor, code: int, depth: int) -> Any:
    """What has a size of its own before it, or is rare."""
    if code in _TEXTS:
        return _bytes(cursor, _size(cursor, _TEXTS[code])).decode()
    if code in _CONSTANTS:
        return _CONSTANTS[code]
    if code in _ARRAYS:
        return _array(cursor, _size(cursor, _ARRAYS[code]), depth)
    if code in _MAPS:
        return _map(cursor, _size(cursor, _MAPS[code]), depth)
    if code in _BYTES:
        return base64.b64encode(_bytes(cursor, _size(cursor, _BYTES[code]))).decode()
    if code in _EXTENSIONS:
        return _extension(cursor, _EXTENSIONS[code])
    if code in _SIZED_EXTENSIONS:
        return _extension(cursor, _size(cursor, _SIZED_EXTENSIONS[code]))
    raise ValueError(f"byte 0x{code:02x} at {cursor.at - 1} begins nothing")


def _array(cursor: Cursor, size: int, depth: int) -> list[Any]:
    _enter(cursor, size, size, depth)
    return [_value(cursor, depth - 1) for _ in range(size)]


def _map(cursor: Cursor, size: int, depth: int) -> dict[str, Any]:
    _enter(cursor, size, 2 * size, depth)
    found = {}
    for _ in range(size):
        key = _value(cursor, depth - 1)
        if type(key) is not str:
            raise ValueError(f"a key that is no text, before byte {cursor.at}")
        found[key] = _value(cursor, depth - 1)
    return found


def _enter(cursor: Cursor, size: int, least: int, depth: int) -> None:
    """Before an array or map of so many values is made, each of which takes a byte at least."""
    if depth <= 0:
        raise ValueError("nested too deeply")
    if least > cursor.end - cursor.at:
        raise ValueError(f"{size} values do not fit behind byte {cursor.at}")
    cursor.count(size + 1)


def _extension(cursor: Cursor, size: int) -> int:
    """A timestamp; nothing else of this kind has a meaning here."""
    kind = _NUMBERS[0xD0].unpack_from(cursor.data, cursor.take(1))[0]
    data = _bytes(cursor, size)
    if kind != _TIME or size not in (4, 8, 12):
        raise ValueError(f"an extension of type {kind} and {size} bytes, of which only the venue knows what it is")
    if size == 4:
        return int.from_bytes(data, "big") * _NS
    if size == 8:
        both = int.from_bytes(data, "big")
        return (both & (1 << 34) - 1) * _NS + (both >> 34)
    return int.from_bytes(data[4:], "big", signed=True) * _NS + int.from_bytes(data[:4], "big")


def _size(cursor: Cursor, width: int) -> int:
    found: int = _SIZES[width].unpack_from(cursor.data, cursor.take(width))[0]
    return found


def _bytes(cursor: Cursor, size: int) -> bytes:
    at = cursor.take(size)
    return cursor.data[at : at + size]


def _write(value: Any, out: bytearray) -> None:
    if value is None or isinstance(value, bool):
        out.append(0xC0 if value is None else 0xC2 + value)
    elif isinstance(value, int):
        _write_whole(value, out)
    elif isinstance(value, Decimal):
        out += bytes([_DOUBLE]) + _NUMBERS[_DOUBLE].pack(floating.nearest(value))
    elif isinstance(value, str):
        data = value.encode()
        _begin(out, len(data), 0xA0, 31, _TEXTS)
        out += data
    elif isinstance(value, list):
        _begin(out, len(value), 0x90, 15, _ARRAYS)
        for one in value:
            _write(one, out)
    else:
        _begin(out, len(value), 0x80, 15, _MAPS)
        for key, one in value.items():
            _write(key, out)
            _write(one, out)


def _write_whole(value: int, out: bytearray) -> None:
    if -32 <= value <= 127:
        out.append(value & 0xFF)
        return
    for code in (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3):
        number = _NUMBERS[code]
        bits = 8 * number.size - (value < 0)
        if -(1 << bits) <= value < 1 << bits:
            out += bytes([code]) + number.pack(value)
            return
    _write(str(value), out)


def _begin(out: bytearray, size: int, short: int, most: int, longer: dict[int, int]) -> None:
    """The head of a text, an array or a map."""
    if size <= most:
        out.append(short | size)
        return
    for code, width in longer.items():
        if size < 1 << 8 * width:
            out += bytes([code]) + _SIZES[width].pack(size)
            return


CODEC = MessagePack()
