"""Watches the messages of one connector, and tells each change of their form once.

It is given messages beside the mapping, a sample of them, and decides nothing. A change may have two signs, each of
which is told: a member that has a new name is gone under the old one. The later sign names the other.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from k2conn.drift.field_paths import field_paths, same, touches
from k2conn.drift.habits import Change, FormChange, Habits
from k2conn.drift.presence import Certainty
from k2conn.drift.structure import Path, kind_of, spelled, structure, values_at
from k2conn.plan import Stream
from k2conn.printable import visible

MOST_SHAPES = 50
"""Forms of messages without a rule that are told apart."""
MOST_FINDINGS = 200
"""Changes of one connector that are told."""
_PLAIN = re.compile(r"[\w.$@\"\[\]-]+(\s*\|\|\s*[\w.$@\"\[\]-]+)*\Z")
"""An expression that is a path, or the first of several that has something, so that what it gives stands in the
message.
"""
_SHOWN = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One change of a venue's messages, as it is told."""

    stream: str
    """Empty for a message that no rule knows."""
    change: Change
    path: str
    """In JMESPath, from the message on."""
    before: str
    after: str
    fields: tuple[str, ...]
    """Fields of the connector file that are read from there."""
    example: str
    """A value of the new kind, shortened."""
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "stream": self.stream or None, "change": str(self.change), "path": self.path, "before": self.before or None,
            "after": self.after or None, "fields": list(self.fields), "example": self.example or None,
            "advice": self.advice,
        }


class DriftDetector:
    """That of one connector. ``names`` are the native names of its symbols."""

    def __init__(
        self, streams: Sequence[Stream], names: Container[str] = (), sure: Certainty | None = None
    ) -> None:
        self._streams = {stream.name: stream for stream in streams}
        self._fields = {stream.name: field_paths(stream) for stream in streams}
        self._names = names
        self._sure = sure or Certainty()
        self._habits: dict[tuple[str, bool], Habits] = {}
        self._shapes: set[frozenset[str]] = set()
        self._messages = 0
        self._told: set[tuple[str, Change, Path, str]] = set()
        self.findings: list[Drift] = []
        """All of them, the oldest first."""

    def see(self, stream: str, message: Any, snapshot: bool = False) -> list[Drift]:
        """A message of a stream; what it shows. A ``snapshot`` has its own habits."""
        self._messages += 1
        habits = self._habits.get((stream, snapshot))
        if habits is None:
            habits = self._habits[stream, snapshot] = Habits(self._sure, lambda path: self._words(stream, path))
        found = structure(message, self._names)
        changes = list(habits.see(found))
        for path in found:
            if habits.worded(path):
                for value in values_at(message, path):
                    if isinstance(value, str) and value:
                        changes += habits.see_word(path, value)
        return self._tell(stream, changes, message)

    def see_unknown(self, message: Any) -> list[Drift]:
        """A message that no rule of the connector knows."""
        self._messages += 1
        shape = frozenset(_shape(message))
        if shape in self._shapes or len(self._shapes) >= MOST_SHAPES:
            return []
        self._shapes.add(shape)
        if self._messages <= self._sure.learned:
            return []
        return self._tell("", [FormChange(Change.NEW_MESSAGE, (), after=", ".join(sorted(shape)))], message)

    def _words(self, stream: str, path: Path) -> Set[str] | None:
        """The words that a field read from there knows."""
        known = [one.field.words for one in self._fields[stream]
                 if one.field.words and _PLAIN.match(one.field.expression) and same(path, one.path)]
        return frozenset().union(*known) if known else None

    def _tell(self, stream: str, changes: Sequence[FormChange], message: Any) -> list[Drift]:
        told = []
        for one in changes:
            key = (stream, one.change, one.path, one.after)
            if key not in self._told and len(self.findings) < MOST_FINDINGS:
                self._told.add(key)
                drift = self._drift(stream, one, message)
                self.findings.append(drift)
                told.append(drift)
        return told

    def _drift(self, stream: str, one: FormChange, message: Any) -> Drift:
        read = self._fields.get(stream, ())
        fields = tuple(dict.fromkeys(each.field.name for each in read if touches(one.path, each.path)))
        example = ""
        if one.change in (Change.NEW_KEY, Change.NEW_TYPE):
            values = [value for value in values_at(message, one.path) if kind_of(value) in one.after.split(", ")]
            example = visible(str(values[0]))[:_SHOWN] if values else ""
        return Drift(
            stream, one.change, visible(spelled(one.path))[:200], visible(one.before)[:200], visible(one.after)[:200],
            fields, example, self._advice(stream, one, fields),
        )

    def _advice(self, stream: str, one: FormChange, fields: tuple[str, ...]) -> str:
        """What to do about it, for the author of the connector file."""
        path = visible(spelled(one.path))[:100]
        listed = ", ".join(fields)
        if one.change is Change.NEW_MESSAGE:
            near = self._nearest(one.after)
            return "say what it is: a stream, an answer or `ignore`" + (f"; it looks like `{near}`" if near else "")
        if one.change is Change.NEW_WORD:
            return f"say what `{visible(one.after)[:_SHOWN]}` means in `map` of {listed}"
        if one.change is Change.NEW_TYPE:
            return f"look whether {listed} still reads it" if fields else "no field reads it"
        if one.change is Change.NEW_KEY:
            gone = [drift for drift in self.findings if drift.stream == stream and drift.change is Change.GONE_KEY
                    and drift.fields]
            if gone:
                return f"it came when {gone[-1].path} went: if it is the same, `from: {path}` for " + ", ".join(
                    gone[-1].fields)
            return "no field reads it; `vendor_data` could keep it" if not fields else f"it is read by {listed}"
        new = [drift.path for drift in self.findings if drift.stream == stream and drift.change is Change.NEW_KEY]
        if fields and new:
            return f"{listed} is read from it; {new[-1]} is new: if it is the same, say `from:` that"
        return f"{listed} is read from it: absent now, or dead letters" if fields else "no field reads it"

    def _nearest(self, keys: str) -> str:
        """The stream whose messages have most of these keys."""
        given = set(keys.split(", "))
        best, name = 0.5, ""
        for (stream, _), habits in self._habits.items():
            own = {str(path[0]) for path in habits.paths if len(path) == 1}
            likeness = len(own & given) / max(1, len(own | given))
            if likeness > best:
                best, name = likeness, stream
        return name


def _shape(message: Any) -> Iterator[str]:
    """The form of a message that no rule knows: its keys, or the kinds of its places."""
    if isinstance(message, dict):
        yield from (visible(str(key))[:_SHOWN] for key in list(message)[:64])
    elif isinstance(message, list):
        yield from (f"[{at}] {kind_of(one)}" for at, one in enumerate(message[:8]))
    else:
        yield kind_of(message)

