"""Whether a step's `accepted` and `refused` can be told apart: a reply for which both hold is refused, which may not be
what the author meant.

Shown by a reply, built out of what the maps ask for: what a map wants, what both want together. A text is only asked
about replies that a map has built, so a pair of two texts is never judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.plan import Json, Match
from k2conn.scope import Scope

_STEP = re.compile(r"""(?:^|\.)(?:([A-Za-z_]\w*)|"([^"\\]+)")|\[(\d{1,2})\]""")
_ANY = "$present"
_NOTHING = ("$absent", "$missing")
_UNKNOWN = object()
"""What no reply can be built for."""


def certain_overlap(said: Mapping[str, Any], accepted: Match, refused: Match) -> str | None:
    """What is wrong where all that one of the two asks for is enough for the other; None where nothing is."""
    for name, own, other, verb in (
        ("accepted", said["accepted"], refused, "refused"), ("refused", said["refused"], accepted, "accepted")
    ):
        reply = _reply(own) if isinstance(own, dict) else _UNKNOWN
        if reply is not _UNKNOWN and other.condition(reply, Scope()):
            also = f"whatever is `{name}` is also `{verb}`, such as {_shown(reply)}"
            return f"{also}: say in both what only one of them has, such as {{error: $absent}}"
    return None


def possible_overlap(said: Mapping[str, Any], accepted: Match, refused: Match) -> str | None:
    """What to say where a reply may be both; None where none can, or that cannot be told."""
    if not isinstance(said["accepted"], dict) or not isinstance(said["refused"], dict):
        return None
    reply = _reply(said["accepted"], said["refused"])
    if reply is _UNKNOWN or not (accepted.condition(reply, Scope()) and refused.condition(reply, Scope())):
        return None
    return f"a reply such as {_shown(reply)} is both `accepted` and `refused`, and counts as refused"


def stream_s_message(when: Any) -> Json | None:
    """A message that a stream's `when` recognises, with nothing more than it asks for; None where none can be built."""
    message = _reply(when) if isinstance(when, dict) else _UNKNOWN
    return None if message is _UNKNOWN else message


def _reply(*wanted: Mapping[str, Any]) -> Json:
    """A message with what all of some maps want; _UNKNOWN where there is none, or it cannot be built."""
    message: Json = {}
    for path in dict.fromkeys(path for one in wanted for path in one):
        choices = [_choices(one[path]) for one in wanted if path in one]
        value = next((found for one in choices[0] if (found := _common(one, choices[1:])) is not _UNKNOWN), _UNKNOWN)
        steps = _steps(path)
        if value is _UNKNOWN or steps is None or (isinstance(value, str) and value.startswith("$state.")):
            return _UNKNOWN
        if value in _NOTHING:
            continue
        message = _put(message, steps, 1 if value == _ANY else value)
        if message is _UNKNOWN:
            return _UNKNOWN
    return message


def _choices(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _common(one: Any, others: list[list[Any]]) -> Any:
    """A value that is among all others, too, where presence and absence count as values."""
    for other in others:
        one = next((found for value in other if (found := _both(one, value)) is not _UNKNOWN), _UNKNOWN)
        if one is _UNKNOWN:
            break
    return one


def _both(one: Any, other: Any) -> Any:
    if type(one) is type(other) and one == other:
        return one
    for this, that in ((one, other), (other, one)):
        if this == _ANY and that is not None and that not in _NOTHING:
            return that
        if this == "$absent" and (that is None or that == "$missing"):
            return that
    return _UNKNOWN


def _steps(path: str) -> list[str | int] | None:
    """The keys and indices of a plain path; None for any other. The message itself has none."""
    if path == "@":
        return []
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            return None
        key, quoted, index = found.groups()
        steps.append(int(index) if index is not None else key or quoted)
        at = found.end()
    return steps


def _put(inside: Json, steps: list[str | int], value: Any) -> Json:
    """A message with one value more; _UNKNOWN where something else stands in the way."""
    if not steps:
        return value if inside in ({}, None) else _UNKNOWN
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        items = list(inside) if isinstance(inside, list) else []
        if inside not in ({}, None) and not isinstance(inside, list):
            return _UNKNOWN
        items += [None] * (step + 1 - len(items))
        items[step] = _put(items[step], rest, value)
        return _UNKNOWN if items[step] is _UNKNOWN else items
    if inside is None:
        inside = {}
    if not isinstance(inside, dict):
        return _UNKNOWN
    below = _put(inside.get(step), rest, value)
    return _UNKNOWN if below is _UNKNOWN else {**inside, step: below}


def _shown(reply: Json) -> str:
    return exactjson.spell(reply)[:200]
