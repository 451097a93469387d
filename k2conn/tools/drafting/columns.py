"""Where the items of some messages are, and their values column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.tools.drafting.leaves import Path, at, number, scalars, spelled, walk
from k2conn.tools.drafting.separators import separators_of, source, told, words

_COLUMNS = 3
"""Lists that a table has at least: a time, a price, and something more."""
_SECONDS = 1_000_000_000
"""Seconds between 1970 and 2001."""


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Where items are. ``kind``: `object` (one object is one item), `list` (each element is), `row` (an array is),
    `nested` (each element of the list at ``inner`` in each element is), `columns` (what stands at one place in each of
    the lists ``inner``, which are keys of the object, is one).
    """

    path: Path
    kind: str
    inner: Path = ()

    @property
    def each(self) -> str | list[str] | None:
        """The stream's `each`; None where the message is the item."""
        if self.kind == "nested":
            return [spelled(self.path), spelled(self.inner)]
        if self.kind == "columns":
            named = [f"{spelled((name,))}: {spelled((*self.path, name))}" for name in self.inner]
            return f"rows({{{', '.join(named)}}})"
        return spelled(self.path) if self.path and self.kind != "row" else None

    def parents(self, message: Any) -> list[Any]:
        """What the items of one message are found in, once for each item; empty where that is the message itself."""
        outer = at(message, self.path) if self.kind == "nested" else None
        return [one for one in outer for _ in self._within(one)] if isinstance(outer, list) else []

    def _within(self, parent: Any) -> list[Any]:
        found = at(parent, self.inner)
        return [one for one in found if isinstance(one, (dict, list))] if isinstance(found, list) else []

    def items(self, message: Any) -> list[Any]:
        """The items of one message."""
        value = at(message, self.path) if self.path else message
        if self.kind == "nested":
            return [item for one in value for item in self._within(one)] if isinstance(value, list) else []
        if self.kind == "list":
            return [one for one in value if isinstance(one, (dict, list))] if isinstance(value, list) else []
        if self.kind == "columns":
            return _rows(value, self.inner)
        wanted = list if self.kind == "row" else dict
        return [value] if isinstance(value, wanted) else []


@dataclass(frozen=True, slots=True)
class ItemColumn:
    """One value of every item, None where an item has none. ``outer``: it is in what contains the item: the message, or
    an element of a list in it.
    """

    expression: str
    name: str
    path: Path
    values: tuple[Any, ...]
    outer: bool
    said: dict[str, str] = field(default_factory=dict, compare=False)
    """What is to be said beside the expression, for its values to be numbers."""

    @property
    def source(self) -> Any:
        """Where the value is, as a field says it."""
        return source(self.expression, self.said)

    @property
    def present(self) -> list[Any]:
        """The values that are not None."""
        return [value for value in self.values if value is not None and value != ""]

    @property
    def complete(self) -> bool:
        """Whether every item has a value."""
        return len(self.present) == len(self.values)

    @property
    def numeric(self) -> bool:
        """Whether all values that are not None are numbers."""
        return bool(self.present) and all(number(value) is not None for value in self.present)


@dataclass(frozen=True, slots=True)
class Pool:
    """The items of a group at one place. ``owners`` says, for each item, the index of its message."""

    place: ItemPlace
    items: tuple[Any, ...]
    owners: tuple[int, ...]
    inner: tuple[ItemColumn, ...]
    outer: tuple[ItemColumn, ...]

    @property
    def rows(self) -> bool:
        """Whether the items are arrays."""
        return bool(self.items) and isinstance(self.items[0], list)

    @property
    def columns(self) -> tuple[ItemColumn, ...]:
        """All columns, the item's own first."""
        return self.inner + self.outer


def pools(messages: Sequence[Any]) -> Iterator[Pool]:
    """The items of some messages at every place where items could be."""
    seen: set[ItemPlace] = set()
    for message in messages:
        for place in _places(message):
            if place not in seen:
                seen.add(place)
                pool = _pool(place, messages)
                if pool is not None:
                    yield pool


def _places(message: Any) -> Iterator[ItemPlace]:
    for path, value in walk(message):
        if isinstance(value, dict) and all(isinstance(part, str) for part in path):
            yield ItemPlace(path, "object")
            if names := _list_names(value):
                yield ItemPlace(path, "columns", names)
        elif isinstance(value, list) and value and (path or not _nested(value)) and _plain(path):
            nested = all(isinstance(one, (dict, list)) for one in value)
            yield ItemPlace(path, "list" if nested else "row")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            levels = [number for number, part in enumerate(path) if not isinstance(part, str)]
            if len(levels) == 1 and 0 < levels[0] < len(path) - 1:
                yield ItemPlace(path[: levels[0]], "nested", path[levels[0] + 1 :])


def _list_names(value: dict[str, Any]) -> Path:
    """The keys of the lists that are columns of one table, with times in one of them; none where they are not."""
    lists = {key: one for key, one in value.items() if isinstance(one, list) and one and not _nested(one)}
    if len(lists) < _COLUMNS or len({len(one) for one in lists.values()}) > 1:
        return ()
    return tuple(lists) if any(map(_like_time, (one[0] for one in lists.values()))) else ()


def _like_time(value: Any) -> bool:
    """Whether it may be seconds since 1970 or something finer, or a text with a time of day in it."""
    size = number(value)
    return size >= _SECONDS if size is not None else isinstance(value, str) and "T" in value and ":" in value


def _rows(value: Any, names: Path) -> list[Any]:
    """The rows of columns; none where some are missing, or are not of one length."""
    columns = [at(value, (name,)) for name in names]
    if not all(isinstance(one, list) for one in columns) or len({len(one) for one in columns}) != 1:
        return []
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _nested(values: list[Any]) -> bool:
    return any(isinstance(one, (dict, list)) for one in values)


def _plain(path: Path) -> bool:
    """Keys only, or the first position of an array message."""
    return all(isinstance(part, str) for part in path) or len(path) == 1


def _pool(place: ItemPlace, messages: Sequence[Any]) -> Pool | None:
    items: list[Any] = []
    owners: list[int] = []
    parents: list[Any] = []
    for index, message in enumerate(messages):
        found = place.items(message)
        items += found
        parents += place.parents(message)
        owners += [index] * len(found)
    if not items or len(set(owners)) * 2 < len(messages):
        return None
    prefix = place.path if place.kind == "row" else ()
    inner = tuple(_inner(items, prefix))
    beside = place.path or place.kind == "columns"
    outer = (*_parental(parents), *_outer(place, messages, owners)) if beside else ()
    return Pool(place, tuple(items), tuple(owners), inner, outer)


def _inner(items: Sequence[Any], prefix: Path) -> Iterator[ItemColumn]:
    """The item's own members; those of objects within it after them."""
    names: dict[Path, None] = {}
    for item in items:
        members: Any = item if isinstance(item, dict) else range(len(item))
        names.update(dict.fromkeys((key,) for key in members))
    for item in items:
        for path, value in walk(item):
            nested = len(path) == 2 and isinstance(path[1], str) and isinstance(item, dict)
            if nested and not isinstance(value, (dict, list)):
                names.setdefault(path)
    for path in names:
        values = [at(item, path) for item in items]
        yield _column(spelled((*prefix, *path)), str(path[-1]), path, values, False)


def _parental(parents: Sequence[Any]) -> Iterator[ItemColumn]:
    """What the elements have that items are found in."""
    names = dict.fromkeys(path for one in parents for path, _ in scalars(one))
    for path in names:
        yield _column(f"$parent.{spelled(path)}", str(path[-1]), path, [at(one, path) for one in parents], True)


def _outer(place: ItemPlace, messages: Sequence[Any], owners: Sequence[int]) -> Iterator[ItemColumn]:
    names: dict[Path, None] = {}
    for message in messages:
        around = place.kind == "columns"  # what stands beside columns is not within any row
        names.update((path, None) for path, _ in scalars(message) if around or path[: len(place.path)] != place.path)
    for path in names:
        text = spelled(path)
        if place.kind != "row":
            text = f"$message{text}" if text.startswith("[") else f"$message.{text}"
        yield _column(text, str(path[-1]), path, [at(messages[owner], path) for owner in owners], True)


def _column(expression: str, name: str, path: Path, values: Sequence[Any], outer: bool) -> ItemColumn:
    separators = separators_of(values)
    if separators is None:
        return ItemColumn(expression, name, path, tuple(values), outer)
    return ItemColumn(expression, name, path, told(values, separators), outer, words(separators))
