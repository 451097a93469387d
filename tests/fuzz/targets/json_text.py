"""The exact JSON reader against the standard library's: what both read is the same, digit for digit, and what only one
reads is one of the known differences.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from k2conn import exactjson

TRACED = ("k2conn.exactjson",)
WORDS = (
    b'{"',
    b'":',
    b"[",
    b"]",
    b"}",
    b",",
    b"1e",
    b"E+",
    b"-0",
    b"0.",
    b"null",
    b"true",
    b"false",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"\\n",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"NaN",
    b"Infinity",
    b"[" * 50,
    b"9" * 50,
)


class Refused(ValueError):
    """A word that JSON does not have."""


def refuse(word: str) -> Any:
    """For NaN and the infinities, which the standard library takes."""
    raise Refused(word)


def seeds() -> Iterator[bytes]:
    """Texts."""
    yield b'{"ch":"trade","data":[{"p":"64000.10","q":0,"n":null}]}'
    yield b'[0,-0,1.50,-0.0,1e5,1E-8,123456789012345678901234567890,"\\u00e9\\ud83d\\ude00\\n",true,false,null,{}]'
    yield b'{"a":{"b":[[[]]]},"a":2,"":1}'
    yield b"[" * 401 + b"]" * 401
    yield b"[" * 400 + b"]" * 400


def exact(value: Any) -> Any:
    """A value with the type and digits of every number in sight."""
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    return type(value).__name__, str(value)


def target(data: bytes) -> None:
    """One text, as bytes and as str; its members, too."""
    try:
        value = exactjson.decode(data)
    except exactjson.JsonError as error:
        assert str(error)
        value = error
    with suppress(exactjson.JsonError):
        members = exactjson.members(data)
        assert not isinstance(value, exactjson.JsonError) or members is not None
    if isinstance(value, exactjson.JsonError):
        return
    assert not exactjson.deeper(value)
    try:
        wanted = json.loads(data.decode(), parse_float=Decimal, parse_constant=refuse)
    except InvalidOperation:
        raise AssertionError("an exponent that Decimal does not hold was read") from None
    assert exact(value) == exact(wanted)
    assert exact(exactjson.decode(data.decode())) == exact(value)
    again = exactjson.decode(exactjson.encode(value))
    assert again == value
    for one in value if isinstance(value, list) else (value,):
        assert isinstance(exactjson.spell(one), str)
