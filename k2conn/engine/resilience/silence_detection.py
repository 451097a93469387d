"""Silence: which streams of which symbols say nothing, and what kind of nothing it is.

A symbol may be silent because the venue never acknowledged it, because no first data came, because it has gone quiet
against its own habit, or because nothing that carries it lives any more. Those are four troubles with four remedies,
so they have four names. Pure: whoever watches looks about once a second and says the time; nothing is done per record.

*Habit*: an exponentially weighted mean of the gaps between looks that found new data. Bursts collapse into one look, so
that a symbol which trades ten times in a second and then rests for a minute has the habit of resting for a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from k2conn.engine.conversation.subscriptions import CONFIRMED, PENDING, REFUSED, UNACKNOWLEDGED

LIVE, ASKED, QUIET, NO_DATA, UNANSWERED, REFUSED_STATE, DEAD = (
    "live", "asked", "quiet", "no-data", "unacknowledged", "refused", "dead",
)
STATES = (LIVE, ASKED, QUIET, NO_DATA, UNANSWERED, REFUSED_STATE, DEAD)
"""From good to bad: the whole list, so that it can be a metric's label."""
SILENT = (QUIET, NO_DATA, UNANSWERED, REFUSED_STATE, DEAD)
"""Those that say nothing."""
REASONS = {
    QUIET: "gone quiet against its habit",
    NO_DATA: "acknowledged, but no first data",
    UNANSWERED: "never acknowledged",
    REFUSED_STATE: "refused by the venue",
    DEAD: "nothing that carries it is connected",
}

FLOOR = 30.0
"""Seconds of silence that are never taken for anything, whatever the habit."""
FACTOR = 20.0
"""How many times its habitual gap a symbol may be silent."""
WEIGHT = 0.1
"""How much the latest gap changes the habit."""
GAPS = 5
"""Gaps that must have been seen before there is a habit."""
FIRST_DATA = 60.0
"""Seconds that the first data after an acknowledgement may take."""


class SilenceReading(NamedTuple):
    """What is known of one stream of one symbol at one moment.

    ``asked_since``: when the connection that carries it was opened, or, where that was later, when it was asked for
    there; None where there is no connection. ``subscription`` is its state there, ``received`` how many items ever
    came.
    """

    asked_since: float | None
    subscription: str
    received: int


class Baseline:
    """How often one symbol speaks."""

    __slots__ = ("_gaps", "last", "mean", "received")

    def __init__(self, received: int, now: float) -> None:
        self.received = received
        self.last: float | None = now if received else None
        """When data was last found."""
        self.mean = 0.0
        self._gaps = 0

    def see(self, received: int, now: float) -> None:
        """A look: new data ends a gap."""
        if received <= self.received:
            return
        if self.last is not None:
            self._gaps += 1
            gap = now - self.last
            self.mean += (gap - self.mean) * max(WEIGHT, 1 / self._gaps)
        self.received, self.last = received, now

    @property
    def patience(self) -> float | None:
        """Seconds of silence that are still usual; None where there is no habit yet."""
        return max(FLOOR, FACTOR * self.mean) if self._gaps >= GAPS else None


class SilenceDetector:
    """One connector's watch over all its streams and symbols. Keys are (stream, record symbol)."""

    def __init__(self) -> None:
        self._habits: dict[tuple[str, str], Baseline] = {}
        self.states: dict[tuple[str, str], str] = {}

    def look(self, key: tuple[str, str], reading: SilenceReading, now: float) -> str:
        """The state of one stream of one symbol; ``now`` is seconds of a monotonic clock."""
        habit = self._habits.get(key)
        if habit is None:
            habit = self._habits[key] = Baseline(reading.received, now)
        else:
            habit.see(reading.received, now)
        state = self.states[key] = _state(habit, reading, now)
        return state

    def silence(self, key: tuple[str, str], now: float) -> float | None:
        """Seconds since data was last found; None where none ever was."""
        habit = self._habits.get(key)
        return None if habit is None or habit.last is None else now - habit.last

    def forget(self, known: set[tuple[str, str]]) -> None:
        """Forgets whatever is not in ``known``."""
        for key in self.states.keys() - known:
            del self.states[key]
            self._habits.pop(key, None)

    def counts(self, stream: str) -> dict[str, int]:
        """How many of a stream's symbols are in each state; every state is there."""
        found = Counter(state for (name, _), state in self.states.items() if name == stream)
        return {state: found[state] for state in STATES}

    def silent(self, stream: str) -> str | None:
        """The worst state of a stream of which no symbol speaks or may still be going to; None where one does."""
        own = [state for (name, _), state in self.states.items() if name == stream]
        if not own or not all(state in SILENT for state in own):
            return None
        return max(own, key=STATES.index)

    def worst(self, stream: str, most: int) -> Iterator[tuple[str, str]]:
        """Some of a stream's silent symbols and their states, the worst first."""
        own = [(symbol, state) for (name, symbol), state in self.states.items() if name == stream and state in SILENT]
        own.sort(key=lambda one: (-STATES.index(one[1]), one[0]))
        yield from own[:most]


def _state(habit: Baseline, reading: SilenceReading, now: float) -> str:
    if reading.asked_since is None:
        return DEAD
    if reading.subscription == REFUSED:
        return REFUSED_STATE
    since = now - reading.asked_since
    if habit.last is None or habit.last < reading.asked_since:
        if reading.subscription == UNACKNOWLEDGED:
            return UNANSWERED
        late = reading.subscription in (PENDING, CONFIRMED) and since > max(FIRST_DATA, habit.patience or 0.0)
        return NO_DATA if late else ASKED
    patience = habit.patience
    return QUIET if patience is not None and now - habit.last > patience else LIVE
