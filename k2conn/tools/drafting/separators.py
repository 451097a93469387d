"""Numbers in texts that say by themselves how they are read: ``1.234,5`` is one number only, ``1.234`` may be two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from k2conn.plan import Separators
from k2conn.tools.drafting.leaves import number

_SIGNS = ("", ",", ".", "'", "\u2019", "_", " ", "\u00a0", "\u202f")
_POSSIBLE = tuple(Separators(thousands, mark) for mark in ".," for thousands in _SIGNS if thousands != mark)


def separators_of(values: Iterable[Any]) -> Separators | None:
    """The only separators by which all values are numbers, some of them by nothing else; None where there are none, or
    where it could be others.
    """
    texts = [value for value in values if isinstance(value, str) and value]
    odd = [text for text in texts if number(text) is None]
    if not odd or not all(text[0] in "+-0123456789,." for text in odd):
        return None
    found = [one for one in _POSSIBLE if all(_reads(text, one) for text in texts)]
    used = [one for one in found if not one.thousands or any(one.thousands in text for text in texts)]
    readings = {tuple(plain(text, one) for text in texts): one for one in reversed(used)}
    return next(iter(readings.values())) if len(readings) == 1 else None


def plain(value: Any, separators: Separators) -> Any:
    """The text of a number without separators; any other value as it is."""
    if not isinstance(value, str):
        return value
    return value.replace(separators.thousands, "").replace(separators.decimal, ".")


def words(separators: Separators | None) -> dict[str, str]:
    """What a connector file says of them."""
    if separators is None:
        return {}
    found = {"thousands": separators.thousands} if separators.thousands else {}
    return {**found, "decimal": separators.decimal} if separators.decimal != "." else found


def source(expression: str, said: dict[str, str], **more: Any) -> Any:
    """Where a number is: the expression alone, or a map that says more."""
    return {"from": expression, **said, **more} if said or more else expression


def told(values: Sequence[Any], separators: Separators) -> tuple[Any, ...]:
    """Values as their numbers are."""
    return tuple(plain(value, separators) for value in values)


def _reads(text: str, separators: Separators) -> bool:
    thousands, point = re.escape(separators.thousands), re.escape(separators.decimal)
    grouped = rf"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|" if thousands else ""
    return re.fullmatch(rf"[-+]?(?:{grouped}[0-9]{{1,40}})(?:{point}[0-9]{{1,40}})?", text) is not None
