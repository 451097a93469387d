"""Troubles: what was wrong with data, told in full the first time, then counted.

Bad data may come at any rate, so that it is written down here, at the cost of a count, and whoever writes the log asks
now and then what there is to say: the first ones of a kind with all that is known of them, and once a minute how many
there were since. The latest few are kept for the status page.
Pure: the caller says the time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from k2conn import exactjson

SHOWN = 200
"""Characters of a venue's text that are shown."""
KEPT = 10
"""The latest troubles that the status page shows."""
EVERY = 60.0
"""Seconds between two counts."""
KINDS = 200
"""Different kinds of trouble that are told apart; further ones are counted together."""


class TroubleKind(StrEnum):
    """What is wrong; each is also the text of a log line."""

    DEAD_LETTER = "dead letter"
    """A record that could not be made."""
    UNKNOWN = "unknown message"
    """A message that no rule of the connector knows."""
    CONFLICT = "id conflict"
    """An id that another record had: both are published."""
    GAP = "gap"
    SEQUENCE = "odd sequence number"
    """A number that cannot be one of a sequence, or that nothing before or after it confirms."""
    FRAME = "frame lost"
    """A frame that was never whole: its connection ended in the middle, or it is no text."""

    @property
    def told(self) -> int:
        """How many of a kind are told in full before they are counted only."""
        return _TOLD.get(self, 1)


_TOLD = {TroubleKind.UNKNOWN: 3, TroubleKind.GAP: 10}


class Trouble(NamedTuple):
    """One thing that was wrong."""

    kind: TroubleKind
    stream: str
    reason: str
    at_us: int
    detail: dict[str, Any]


class Troubles:
    """Those of one connector."""

    def __init__(self) -> None:
        self.latest: deque[Trouble] = deque(maxlen=KEPT)
        self._new: deque[Trouble] = deque()
        self._told: Counter[tuple[TroubleKind, str, str]] = Counter()
        self._since: Counter[tuple[TroubleKind, str, str]] = Counter()
        """How many there were since the last count that were not told."""
        self._counted: float | None = None

    def note(
        self, kind: TroubleKind, stream: str, reason: str, at_us: int, detail: Callable[[], dict[str, Any]]
    ) -> None:
        """Something is wrong, at ``at_us`` (microseconds since the epoch); ``detail`` is called where it is told."""
        key = (kind, stream, reason)
        told = self._told[key]
        if told >= kind.told or (not told and len(self._told) > KINDS):
            self._since[key if key in self._since or len(self._since) < KINDS else (kind, "", "other")] += 1
            return
        self._told[key] = told + 1
        found = Trouble(kind, stream, reason, at_us, detail())
        self._new.append(found)
        self.latest.append(found)

    def lines(self, now: float, last: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the log is to say now, each an event and its details; ``now`` is seconds of a monotonic clock. With
        ``last``, the counts too that are not due yet.
        """
        while self._new:
            one = self._new.popleft()
            shown = {"stream": one.stream, "reason": one.reason, **one.detail}
            yield one.kind, {name: value for name, value in shown.items() if value not in (None, "")}
        if self._counted is None:
            self._counted = now
        if not last and now < self._counted + EVERY:
            return
        seconds, self._counted = now - self._counted, now
        since, self._since = self._since, Counter()
        for kind in dict.fromkeys(kind for kind, _, _ in since):
            parts = {_name(stream, reason): count for (one, stream, reason), count in since.items() if one == kind}
            counts = {"count": sum(parts.values()), "seconds": round(seconds)}
            yield f"{kind}: more of them", counts if parts.keys() == {""} else {**counts, "of": parts}
        for key in self._told.keys() - since.keys():
            del self._told[key]  # a quiet minute: the next one is news again


def _name(stream: str, reason: str) -> str:
    return " ".join(filter(None, (stream, reason)))


def short(value: Any) -> str | None:
    """A venue's value as it is shown to people: JSON's spelling, cut."""
    if value is None:
        return None
    try:
        text = exactjson.excerpt(value, SHOWN + 1)
    except (ValueError, TypeError, RecursionError):
        text = repr(type(value))
    cut = text[:SHOWN]
    if not cut.isprintable():  # what would move a terminal's cursor, or forge a line
        cut = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in cut)
    return cut if len(text) <= SHOWN else f"{cut}..."
