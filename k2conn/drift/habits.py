"""The habits of one kind of message (those of one stream, say): which paths come, of what kinds their values are, which
words stand where a field knows all words; and what is no longer so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from enum import StrEnum
from typing import NamedTuple

from k2conn.drift.presence import Certainty, Presence
from k2conn.drift.structure import ANY_KEY, EACH, Path, Structure

MOST_PATHS = 1000
"""Paths of one kind of message that are remembered."""
MOST_CHILDREN = 200
"""Keys of one object that are: beyond, they are names of things."""
LOOK = 4
"""Messages after which is looked for what is gone."""


class Change(StrEnum):
    """What has changed."""

    NEW_KEY = "new-key"
    GONE_KEY = "gone-key"
    NEW_TYPE = "new-type"
    NEW_WORD = "new-word"
    NEW_MESSAGE = "new-message"


class FormChange(NamedTuple):
    """One change; ``before`` and ``after`` are kinds of values, or words."""

    change: Change
    path: Path
    before: str = ""
    after: str = ""


class _Habit:
    """That of one path."""

    __slots__ = ("children", "kinds", "presence")

    def __init__(self, now: int) -> None:
        self.presence = Presence(now)
        self.kinds: dict[str, Presence] = {}
        self.children = 0


class Habits:
    """``words`` says of a path which words a field of it knows; None: any."""

    def __init__(self, sure: Certainty, words: Callable[[Path], Set[str] | None]) -> None:
        self._sure = sure
        self._words = words
        self._known: dict[Path, Set[str] | None] = {}
        self._told: set[tuple[Path, str]] = set()
        """Words that were told."""
        self._paths: dict[Path, _Habit] = {}
        self.messages = 0
        self.untracked = 0
        """Paths that were not remembered: there are too many."""

    @property
    def paths(self) -> Iterable[Path]:
        """Those that came."""
        return self._paths

    def worded(self, path: Path) -> bool:
        """Whether the words at a path are looked at."""
        if path not in self._known:
            if len(self._known) >= MOST_PATHS:
                return False
            self._known[path] = self._words(path)
        return self._known[path] is not None

    def see(self, found: Structure) -> Iterator[FormChange]:
        """Takes a message; what it, or what it lacks, shows to have changed."""
        self.messages += 1
        for path, kinds in found.items():
            yield from self._see(path, kinds)
        if self.messages % LOOK == 0:
            yield from self._gone()

    def see_word(self, path: Path, word: str) -> Iterator[FormChange]:
        """Takes a word of a path that is `worded`."""
        known = self._known[path]
        if known is not None and word not in known and (path, word) not in self._told and len(self._told) < MOST_PATHS:
            self._told.add((path, word))
            yield FormChange(Change.NEW_WORD, path, ", ".join(sorted(known)[:12]), word)

    def _see(self, path: Path, kinds: Set[str]) -> Iterator[FormChange]:
        parent = self._parent(path)
        now = self.messages if parent is None else parent.presence.count
        habit = self._paths.get(path) or self._begin(path, parent, now)
        if habit is None:
            return
        habit.presence.seen(now)
        if not habit.presence.told and habit.presence.is_new(now, self._sure):
            habit.presence.told = True
            yield FormChange(Change.NEW_KEY, path, after=_listed(habit.kinds or kinds))
        count = habit.presence.count
        for kind in kinds:
            one = habit.kinds.get(kind)
            if one is None:
                one = habit.kinds[kind] = Presence(count)
            one.seen(count)
            if not one.told and one.is_new(count, self._sure):
                one.told = True
                yield FormChange(Change.NEW_TYPE, path, _listed(name for name in habit.kinds if name != kind), kind)

    def _parent(self, path: Path) -> _Habit | None:
        return self._paths.get(path[:-1]) if path else None

    def _begin(self, path: Path, parent: _Habit | None, now: int) -> _Habit | None:
        if (path and parent is None) or len(self._paths) >= MOST_PATHS or (
            parent is not None and path[-1] not in (EACH, ANY_KEY) and parent.children >= MOST_CHILDREN
        ):
            self.untracked += 1
            return None
        if parent is not None:
            parent.children += 1
        found = self._paths[path] = _Habit(now)
        return found

    def _gone(self) -> Iterator[FormChange]:
        for path, habit in self._paths.items():
            parent = self._parent(path)
            if parent is None or habit.presence.told or parent.presence.told:
                continue
            if habit.presence.is_gone(parent.presence.count, self._sure):
                habit.presence.told = True
                yield FormChange(Change.GONE_KEY, path, before=_listed(habit.kinds))


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(kinds))
