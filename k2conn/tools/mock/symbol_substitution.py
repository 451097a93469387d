"""Rewrites an example frame for another symbol or topic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from k2conn import exactjson
from k2conn.plan import Getter, Json
from k2conn.scope import Scope
from k2conn.tools.mock.number_formats import is_number
from k2conn.tools.mock.request_recognition import RequestedSubscription

Place = tuple[Any, Any]
"""A container and the key or index of a leaf in it."""
_SHORT = 6
"""From this length on a symbol is also replaced inside longer words."""
_SHORT_NUMBER = 4
"""From this length on a symbol of digits is also replaced where it is a number."""


def substitute(frame: Json, old: RequestedSubscription, new: RequestedSubscription) -> Json:
    """A copy of a frame about ``old`` that is about ``new``: topics as whole values, symbols wherever they
    occur, each in its own case.
    """
    swap = symbol_swap(old, new)
    return _copy(frame, old.topic, new.topic, swap)


class JsonWithin:
    """The container of values that stand in JSON text within a frame. The text is read and written anew each time.
    """

    def __init__(self, container: Any, key: Any, path: tuple[Any, ...]) -> None:
        self._container, self._key, self._path = container, key, path

    def __getitem__(self, key: Any) -> Json:
        return self._inner(exactjson.decode(self._container[self._key]))[key]

    def __setitem__(self, key: Any, value: Json) -> None:
        whole = exactjson.decode(self._container[self._key])
        self._inner(whole)[key] = value
        self._container[self._key] = exactjson.encode(whole).decode()

    def _inner(self, whole: Json) -> Any:
        for step in self._path:
            whole = whole[step]
        return whole

    @property
    def identity(self) -> tuple[Any, ...]:
        """What is the same for the containers of the same values."""
        return (id(self._container), self._key, *self._path)


def identity(place: Place) -> tuple[Any, ...]:
    """What is the same for places of the same leaf."""
    container, key = place
    return (container.identity if isinstance(container, JsonWithin) else id(container), key)


def _copy(value: Json, old: Json, new: Json, swap: Callable[[str], str]) -> Json:
    if old is not None and value == old:
        return _plain_copy(new)
    if isinstance(value, dict):
        return {swap(key): _copy(one, old, new, swap) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one, old, new, swap) for one in value]
    if type(value) is int and len(digits := str(value)) >= _SHORT_NUMBER and (swapped := swap(digits)) != digits:
        return int(swapped) if swapped.isdecimal() else value
    return swap(value) if isinstance(value, str) else value


def _plain_copy(value: Json) -> Json:
    return _copy(value, None, None, lambda text: text)


def symbol_swap(old: RequestedSubscription, new: RequestedSubscription) -> Callable[[str], str]:
    """A function that replaces one symbol by another in a text, in the case used there."""
    was, will = old.symbol.native, new.symbol.native
    if was == will:
        return lambda text: text
    cases = {was: will, was.lower(): will.lower(), was.upper(): will.upper()}
    words = "|".join(re.escape(word) for word in cases)
    source = f"(?:{words})" if len(was) >= _SHORT else f"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])"
    pattern = re.compile(source)
    return lambda text: pattern.sub(lambda place: cases[place.group()], text)


def leaves(value: Json, container: Any = None, key: Any = None) -> Iterator[Place]:
    """All leaves of a value that is inside a list or an object, in their order; also those in JSON text within it."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, value, name)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from leaves(one, value, at)
    elif container is not None:
        inner = _written_out(value)
        if inner is None:
            yield container, key
        for *path, last in _paths(inner):
            yield JsonWithin(container, key, tuple(path)), last


def _written_out(value: Json) -> Json:
    """The list or object that a text is, as JSON; None for any other value."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return None
    try:
        inner = exactjson.decode(value)
    except exactjson.JsonError:
        return None
    return inner if isinstance(inner, (dict, list)) and inner else None


def _paths(value: Json) -> Iterator[tuple[Any, ...]]:
    """The keys and indices that lead to the leaves."""
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from ((key, *rest) for rest in _paths(one)) if isinstance(one, (dict, list)) else [(key,)]


def moves(frame: Json, read: Getter, place: Place) -> bool:
    """Whether what ``read`` finds in the frame depends on the leaf at ``place``."""
    container, key = place
    scope = Scope()
    before, kept = read(frame, scope), container[key]
    container[key] = "\ue000"
    try:
        return bool(read(frame, scope) != before)
    finally:
        container[key] = kept


def widen(frame: Json, old: Sequence[Json], new: Sequence[Json]) -> None:
    """Replaces, in place, the items of the lists that consist of ``old`` values by the ``new`` ones."""
    for container in _containers(frame):
        if isinstance(container, list) and container and all(one in old for one in container):
            container[:] = [_plain_copy(one) for one in new]


def _containers(value: Json) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, (dict, list)):
        found.append(value)
        for one in value.values() if isinstance(value, dict) else value:
            found += _containers(one)
    return found


def renamed(frame: Json, old: Json, new: Json) -> Json:
    """A copy of a frame with a venue's name of an interval replaced by another, as a whole value and as a word of its
    own in texts.
    """
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(str(old))}(?![A-Za-z0-9])")

    def copied(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: copied(one) for key, one in value.items()}
        if isinstance(value, list):
            return [copied(one) for one in value]
        if type(value) is type(old) and value == old:
            return new
        return word.sub(str(new), value) if isinstance(value, str) and not is_number(value) else value

    return copied(frame)
