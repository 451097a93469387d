"""JSON without binary floats: the one door to msgspec.

Numbers with a fraction or an exponent become Decimal with every digit kept, whole numbers become int of any size.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)
LONG_TEXT = 64 * 1024
"""Characters or bytes of a text from which on its numbers are looked at, each by itself."""
LONGEST_NUMBER = 1000
"""Characters of a number with a fraction or an exponent in these; whole numbers are bounded by msgspec (4300)."""


def _short_number(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters")
    return Decimal(text)


_careful = msgspec.json.Decoder(float_hook=_short_number)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LONG = 10**4000
"""From here on Python does not write an int in decimal digits."""
_TOO_DEEP = "nested too deeply"
_CONTAINERS = (list, dict)
_encoder = msgspec.json.Encoder(decimal_format="number")


MAX_DEPTH = 400
"""Arrays and objects that may lie in one another. Python bounds that, too, but by how deep in the program a text is
read or a value is walked, so that what was read somewhere could not be written, compared or shown elsewhere.
"""
WIDE_UP_TO = 4 * 1024 * 1024
"""Characters or bytes up to which a text may have any letters: see `wide`."""
SHORT = 2 * MAX_DEPTH
"""A text with fewer characters or bytes cannot be nested too deeply."""


class JsonError(ValueError):
    """Text that is not JSON (or is nested too deeply to be a message)."""


quick = _decoder.decode
"""`decode` without its errors and only for texts below SHORT, for who decodes very often: raises UNREADABLE, and then
`decode` says what is wrong.
"""

UNREADABLE = (msgspec.DecodeError, UnicodeError, InvalidOperation, RecursionError)


def decode(text: str | bytes) -> Any:
    """The value of one JSON text. Raises JsonError with the reason and the byte offset where there is one."""
    try:
        value = (_decoder if len(text) < LONG_TEXT else _careful).decode(text)
    except (ValueError, msgspec.DecodeError, UnicodeError, InvalidOperation) as error:
        raise JsonError(str(error)) from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    if len(text) >= SHORT and _brackets(text) > MAX_DEPTH and deeper(value):
        raise JsonError(_TOO_DEEP)
    return value


def deeper(value: Any) -> bool:
    """Whether more than MAX_DEPTH arrays and objects lie in one another."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        level = [
            inner
            for one in level
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) is list or type(inner) is dict
        ]
    return bool(level)


def larger(value: Any, most: int) -> bool:
    """Whether a value has more than ``most`` values in it."""
    return count(value, most) > most


def count(value: Any, most: int) -> int:
    """How many values a value has in it, itself among them; where there are more than ``most``, some number above."""
    found, level = 0, [value]
    while level and found <= most:
        found += len(level)
        containers = [one for one in level if type(one) is list or type(one) is dict]
        inside = sum(map(len, containers))
        if found + inside > most:
            return found + inside
        level = [inner for one in containers for inner in (one.values() if type(one) is dict else one)]
    return found


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def values(text: str | bytes) -> int:
    """How many values a text has, at most (commas within strings are counted, too), at the cost of looking for four
    characters.
    """
    if isinstance(text, str):
        return text.count(",") + _brackets(text)
    return text.count(b",") + _brackets(text)


def wide(text: str | bytes) -> bool:
    """Whether a long text has letters beyond ASCII, by themselves or as escapes. Python keeps all characters of a text
    in as many bytes as the widest of them needs: one emoji makes 64 MiB of 16.
    """
    if len(text) <= WIDE_UP_TO:
        return False
    if isinstance(text, str):
        return not text.isascii() or text.count("\\u") > text.count("\\u00")
    return not text.isascii() or text.count(b"\\u") > text.count(b"\\u00")


def members(text: str | bytes) -> dict[str, bytes]:
    """The members of one JSON object, each as its own untouched text. Raises JsonError."""
    try:
        return {key: bytes(raw) for key, raw in _members.decode(text).items()}
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JsonError(str(error)) from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None


def encode(value: Any) -> bytes:
    """Compact JSON (UTF-8); a Decimal is written as a bare number with its own digits."""
    return _encoder.encode(value)


def spell(value: Any) -> str:
    """A value as text in JSON spelling: ``true``, ``64000.10``, text as it is, arrays and objects as JSON."""
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return str(value) if -_LONG < value < _LONG else format(Decimal(value), "f")
    if type(value) is Decimal:
        return plain(value)
    return encode(value).decode()


def excerpt(value: Any, limit: int) -> str:
    """The first ``limit`` characters of `spell`, at a cost that is bounded by the limit, whatever the value's size."""
    if type(value) is str:
        return value[:limit]
    return spell(_beginning(value, [limit], limit))[:limit]


def _beginning(value: Any, left: list[int], limit: int) -> Any:
    """What of a value the first characters of its text can show: ``left`` counts down what may still be taken."""
    left[0] -= 1
    kind = type(value)
    if kind is str:
        return value[:limit]
    if kind is not list and kind is not dict:
        return value
    found: list[tuple[Any, Any]] = []
    for key, one in value.items() if kind is dict else enumerate(value):
        if left[0] <= 0:
            break
        found.append((str(key)[:limit], _beginning(one, left, limit)))
    return dict(found) if kind is dict else [one for _, one in found]


def plain(number: Decimal) -> str:
    """A decimal's own digits without an exponent where that stays short, else in scientific form."""
    text = str(number)
    if "E" not in text:
        return text
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -40 <= exponent <= 0:
        return format(number, "f")
    return text
