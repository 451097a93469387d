"""Fields that keep their last value where a venue sends changes only (`carry`).

The last values are a symbol's on one connection. A delta moves them also where it becomes no record, because the next
one builds on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn import native
from k2conn.engine.mapping.native_mapper import CONVERSION_ERRORS, source_of
from k2conn.engine.symbol_state import CARRY
from k2conn.errors import RecordError
from k2conn.plan import Carry
from k2conn.scope import Scope

_NONE: frozenset[int] = frozenset()
Values = tuple[tuple[int, Any], ...]
"""Pairs of a place in the record and a value."""


class _LastValues:
    """What is known of one symbol."""

    __slots__ = ("published", "values")

    def __init__(self, values: list[Any], published: list[Any] | None = None) -> None:
        self.values = values
        self.published = published
        """The values of the latest record; None before the first one."""


class CarriedFields:
    """The carried fields of one stream."""

    def __init__(self, carry: Carry, stream: str, places: Mapping[str, int], most: int) -> None:
        """``places``: of the record's fields; ``most``: symbols whose values are known."""
        self._carry = carry
        self._begin = carry.begin.condition if carry.begin is not None else None
        self._nullable = carry.nullable or (False,) * len(carry.fields)
        self._key = CARRY + stream
        self._places = tuple(places[name] for name in carry.fields)
        self._most = most
        self._left: Callable[[list[Any], Any, Scope], int] = self._all
        """Moves the values that need no Python; which ones are left, as bits."""
        self.in_c: Any = None
        """What moves all the values in C, where that is possible."""
        if native.Carried is not None and any(carry.numbers):
            numbers = tuple(source_of(one.field) if one is not None else None for one in carry.numbers)
            moving = native.Carried(numbers)
            self._left = moving.move
            self.in_c = moving if all(carry.numbers) and not carry.clear else None

    def take(self, item: Any, symbol: str, scope: Scope) -> Values | None:
        """Takes an item in: the fields as they are now. None where it is no record: before the symbol's first snapshot,
        or where only changes are records and nothing has changed. Raises RecordError where a value is missing or wrong.
        """
        state, begin = scope.state, self._begin
        book: dict[str, _LastValues] | None = state.get(self._key)
        if book is None:
            book = state[self._key] = {}
        last = book.get(symbol)
        known = last
        if begin is not None:
            if begin(scope.message, scope):
                known = None
            elif last is None:
                return None
        now = list(known.values) if known is not None else list(self._carry.defaults)
        failed = self._move(now, item, scope)
        if last is not None:
            last.values = now
        elif len(book) < self._most:
            book[symbol] = last = _LastValues(now)
        if failed is not None:
            raise failed
        if self._carry.changes_only and last is not None and last.published == now:
            return None
        return tuple(zip(self._places, now))  # noqa: B905 - each has its place

    def _all(self, now: list[Any], item: Any, scope: Scope) -> int:
        return (1 << len(now)) - 1

    def _move(self, now: list[Any], item: Any, scope: Scope) -> RecordError | None:
        """Moves the values by what an item says; what is wrong with it, where something is."""
        cleared, left = self._cleared(item, scope) if self._carry.clear else _NONE, self._left(now, item, scope)
        for at in cleared:
            now[at] = self._carry.defaults[at]
        return self._move_each(now, item, scope, cleared, left) if left else None

    def _move_each(
        self, now: list[Any], item: Any, scope: Scope, cleared: frozenset[int], left: int
    ) -> RecordError | None:
        """Moves those values that are ``left``, as bits, and not cleared."""
        carry, failed, numbers = self._carry, None, self._carry.numbers
        for at, read in enumerate(carry.readers):
            if not left >> at & 1 or at in cleared:
                continue
            number = numbers[at] if numbers else None
            if number is not None:
                try:
                    value = number.get(item, scope)
                    if (value is None or value == "") and now[at] is not None:
                        continue
                    now[at] = number.convert(value)
                    continue
                except CONVERSION_ERRORS:
                    pass  # the reader decides
            try:
                now[at] = read(item, scope)
            except RecordError as error:
                if error.reason != "missing-field":
                    now[at] = None  # the new value is unknown, and the old one no longer holds
                missing = error.reason == "missing-field" and self._nullable[at]
                if now[at] is None and failed is None and not missing:
                    failed = error
        return failed

    def _cleared(self, item: Any, scope: Scope) -> frozenset[int]:
        found: frozenset[int] = _NONE
        for rule in self._carry.clear:
            if rule.when(item, scope):
                found |= rule.fields
        return found

    def latest(self, symbol: str, scope: Scope) -> object | None:
        """What is known of a symbol, where that is anything: its ``values``, and those of the latest record."""
        book: dict[str, _LastValues] = scope.state.get(self._key, {})
        return book.get(symbol)

    def begins(self, message: Any, scope: Scope) -> bool:
        """Whether all values of a message's symbols begin anew."""
        return self._begin is not None and bool(self._begin(message, scope))

    def published(self, symbol: str, scope: Scope) -> None:
        """The values of a symbol as they are now are those of a record."""
        last: _LastValues | None = scope.state[self._key].get(symbol)
        if last is not None:
            last.published = last.values
