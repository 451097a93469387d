"""No more than so many log lines of one kind a minute: the others are counted, and one line says how many.

A kind is an event of one connector; for what the standard ``logging`` passes on, the place in the code that says it,
whatever it says. So no venue, broker or disk in trouble can flood the log, and nothing goes unsaid: the first lines
stand whole, and the count follows within a minute, or at the end of the process. What tells of an end (of a connector,
a worker, the run) is never left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from k2conn.clock import monotonic

LINES = 60
"""Lines of one kind that stand whole within ``EVERY`` seconds."""
EVERY = 60.0
KINDS = 1000
"""Kinds that are told apart; what else there is counts as one."""
PLACE = "_said_at"
"""The event's key for the place in the code that said it, where its text does not tell the kind. It is not shown."""
ENDS = frozenset({
    "gave up", "this connector cannot go on", "no connection ever stood", "stopping", "unsent records",
    "a bug of k2conn ended this connector, the others go on; please report it",
    "a bug of k2conn at the end of this connector; please report it",
    "worker ended, so all end", "workers did not end in time",
})
"""Events that are never left out: each is said once for what it ends."""
_SHOWN = 200
"""Characters of a library's text that name its kind."""

Kind = tuple[str, str, str]
"""Level, connector (or the logger's name), and the event or its place in the code."""


class LeftOut(NamedTuple):
    """A count to be told: of which event, at which level, and with what to name it."""

    event: str
    level: str
    lines: int
    seconds: int
    names: dict[str, Any]


class _Window:
    """What was said of one kind since ``began``."""

    __slots__ = ("began", "count", "event", "names")

    def __init__(self, began: float, event: str, names: dict[str, Any]) -> None:
        self.began = began
        self.event = event
        self.names = names
        self.count = 0


class LogLimit:
    """Counts lines; every thread may ask."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[Kind, _Window] = {}
        self._due = 0.0
        """When the oldest window ends, or earlier."""

    def allows(self, level: str, event: dict[str, Any]) -> bool:
        """Whether this line is written; where it is not, it is counted. Takes the place out of ``event``."""
        said = str(event.get("event", ""))
        place = event.pop(PLACE, said)
        if said in ENDS:
            return True
        names: dict[str, Any] = {name: event[name] for name in ("connector", "source") if name in event}
        kind: Kind = (level, str(next(iter(names.values()), "")), place)
        with self._lock:
            if kind not in self._windows and len(self._windows) >= KINDS:
                kind, said, names = (level, "", ""), "other events", {}
            window = self._windows.get(kind)
            if window is None:
                window = self._windows[kind] = _Window(self._clock(), said[:_SHOWN], names)
            window.count += 1
            return window.count <= LINES

    def left_out(self, last: bool = False) -> Iterator[LeftOut]:
        """The counts that are due, or all with ``last``; quick where none is."""
        now = self._clock()
        if now < self._due and not last:
            return
        with self._lock:
            over = {kind: one for kind, one in self._windows.items() if last or now >= one.began + EVERY}
            for kind in over:
                del self._windows[kind]  # the next line of it begins a new minute, in which it is told whole again
            self._due = min((one.began for one in self._windows.values()), default=now) + EVERY
        for (level, _, _), one in over.items():
            if one.count > LINES:
                yield LeftOut(one.event, level, one.count - LINES, round(now - one.began), one.names)
