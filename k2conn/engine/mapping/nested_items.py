"""Items that stand several levels deep in a message: `each` as a list, one expression for each level.

An object is walked key by key where the stream uses keys, a list element by element; what is found is what the next
level's expression is asked of. The walk goes on as items are taken from it, so that a message of very many values is
not unfolded at once, and it ends after `MOST_ITEMS` values, however they are spread over the levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from k2conn.engine.mapping.slices import AT_ONCE, MOST_ITEMS, Abandoned, Slices
from k2conn.errors import RecordError
from k2conn.plan import Stream
from k2conn.scope import Scope

_SLICE = 100
_LOOKS = 1_000_000
"""As in `slices`: an expression may look at the whole message for each of its items."""
_MOST = f"a message may have {MOST_ITEMS} items"


class NestedItem(NamedTuple):
    """One item: the keys that lead to it, and what it was found in, both from outside in."""

    item: Any
    keys: tuple[str, ...]
    around: tuple[Any, ...]
    error: RecordError | None = None
    """Why there are no items here; ``item`` is then what was looked at."""
    found: bool = True
    """False: it is no item, but something that items are looked for in. It counts as work, as an item does."""

    def enter(self, scope: Scope) -> None:
        """`$key`, `$keys` and `$parent` are those of this item."""
        scope.keys, scope.around = self.keys, self.around
        scope.parent = self.around[-1] if self.around else None
        scope.key = self.keys[-1] if self.keys else None


NO_ITEM = NestedItem(None, (), ())
"""Entered when the last item of a message was mapped."""


class NestedItems:
    """The items of one message, in their order."""

    def __init__(self, stream: Stream, message: Any, scope: Scope, newest_first: bool) -> None:
        self._stream = stream
        self._message = message
        self._scope = scope
        self._newest_first = newest_first
        self._seen = 0
        self._left: list[int] = []
        """How many values of each level are still to come."""

    @property
    def left(self) -> int:
        """How many values nobody has looked into, at all levels together."""
        return sum(self._left)

    def __iter__(self) -> Iterator[NestedItem]:
        try:
            yield from self._level(0, NestedItem(self._message, (), ()))
        finally:
            NO_ITEM.enter(self._scope)

    def _level(self, depth: int, outer: NestedItem) -> Iterator[NestedItem]:
        try:
            found = self._found(depth, outer)
        except RecordError as error:
            yield outer._replace(error=error.at("each", self._stream.levels[depth].text, error.value), found=True)
            return
        self._left.append(len(found))
        last, around = depth == len(self._stream.inner), (*outer.around, outer.item)
        for key, value in found:
            if self._seen >= MOST_ITEMS:
                return  # what is left stays counted
            self._seen += 1
            self._left[depth] -= 1
            keys = outer.keys if key is None else (*outer.keys, key)
            if last:
                yield NestedItem(value, keys, around)
            else:
                one = NestedItem(value, keys, around, None, False)
                yield one
                yield from self._level(depth + 1, one)
        if len(self._left) == depth + 1 and not self._left[depth]:
            self._left.pop()

    def _found(self, depth: int, outer: NestedItem) -> Sequence[tuple[str | None, Any]]:
        """The values of one level with their keys; RecordError where there are none."""
        outer.enter(self._scope)
        found = self._stream.levels[depth].get(outer.item, self._scope)
        if type(found) is list:
            return [(None, one) for one in (reversed(found) if self._newest_first else found)]
        if type(found) is dict:
            return list(found.items()) if self._stream.each_key else [(None, found)]
        if found is None:
            raise RecordError(None, None, None, "missing-field", "there are no items")
        raise RecordError(None, None, found, "bad-type", "neither a list nor an object")


def take_nested(
    items: NestedItems, do: Callable[[Sequence[NestedItem]], None], refuse: Callable[[int, str], None]
) -> Slices | None:
    """Calls ``do`` for all items of a message with few; for one with many it returns the slices, of which the first is
    done. ``refuse`` is told how many values are left out, and why.
    """
    walk = iter(items)
    first = list(islice(walk, AT_ONCE + 1))
    if len(first) <= AT_ONCE:
        do(first)
        _refuse_rest(items, refuse)
        return None
    return _sliced(items, first, walk, do, refuse)


def _sliced(
    items: NestedItems, first: Sequence[NestedItem], walk: Iterator[NestedItem],
    do: Callable[[Sequence[NestedItem]], None], refuse: Callable[[int, str], None],
) -> Slices:
    some: Sequence[NestedItem] = first
    while some:
        do(some)
        try:
            yield
        except Abandoned as reason:
            _refuse_rest(items, refuse, str(reason))
            return
        size = max(1, min(_SLICE, _LOOKS // (items.left + AT_ONCE)))
        some = list(islice(walk, size))
    _refuse_rest(items, refuse)


def _refuse_rest(items: NestedItems, refuse: Callable[[int, str], None], why: str = _MOST) -> None:
    if items.left:
        refuse(items.left, why)
