"""Numbers in the venue's own format: the same JSON type and decimals, no binary float."""

from __future__ import annotations

import re
import uuid
from decimal import Decimal, InvalidOperation

from k2conn.plan import Json, Separators

_CENTS = 2
"""Decimal places that are never taken for padding."""
_DIGITS = re.compile(r"\d{1,18}(?=\D*\Z)")
_HEX = re.compile(r"[0-9a-fA-F]{12,}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_NAMES = uuid.UUID("6f1f7c2e-5a0b-4c1e-9d61-7d5f5c0f9b2a")


def is_number(value: Json) -> bool:
    """Whether a value is a number or the text of one."""
    return type(value) in (int, Decimal) or (type(value) is str and exact(value) is not None)


def exact(value: Json, separators: Separators | None = None) -> Decimal | None:
    """The number with its exponent; None where the value is not a number."""
    if type(value) not in (int, Decimal, str):
        return None
    if type(value) is str and separators is not None:
        value = value.replace(separators.thousands, "").replace(separators.decimal, ".")
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def tick(value: Json, separators: Separators | None = None) -> Decimal:
    """The smallest step of a number: the value of its last digit, not counting padding zeros."""
    number = exact(value, separators) or Decimal(0)
    return Decimal(1).scaleb(max(_exponent(number), min(_exponent(number.normalize()), -_CENTS)))


def _exponent(number: Decimal) -> int:
    found = number.as_tuple().exponent
    return found if isinstance(found, int) else 0


def spelled(number: Decimal, like: Json, separators: Separators | None = None) -> Json:
    """A number in the format of ``like``; as text, with the separators of its field."""
    fitted = number.quantize(Decimal(1).scaleb(_exponent(exact(like, separators) or Decimal(0))))
    if type(like) is int:
        return int(fitted)
    if type(like) is Decimal:
        return fitted
    return format(fitted, "f") if separators is None else _set_apart(fitted, separators)


def _set_apart(number: Decimal, separators: Separators) -> str:
    whole, point, decimals = format(number, ",f" if separators.thousands else "f").partition(".")
    return whole.replace(",", separators.thousands) + (separators.decimal if point else "") + decimals


def counted(value: Json) -> int | None:
    """The number in an id: itself, or its last group of digits; None where it has none."""
    if type(value) is int:
        return value
    if type(value) is not str or _UUID.match(value) or (_HEX.match(value) and not value.isdecimal()):
        return None
    found = _DIGITS.search(value)
    return int(found.group()) if found else None


def count_to(value: Json, number: int, seed: str) -> Json:
    """The id with ``number``, in the format of ``value``; ids without a number are made of ``seed`` and ``number``."""
    if type(value) is int:
        return number
    text = str(value)
    if counted(text) is not None:
        found = _DIGITS.search(text)
        assert found is not None
        return text[: found.start()] + str(number).rjust(len(found.group()), "0") + text[found.end() :]
    made = uuid.uuid5(_NAMES, f"{seed}/{number}")
    if _UUID.match(text):
        return str(made)
    if _HEX.match(text):
        return (made.hex * (1 + len(text) // 32))[: len(text)]
    return f"{text}{number}"
