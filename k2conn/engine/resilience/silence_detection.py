"""Silence detection: which symbols of which streams have no data, and why.

A symbol may be silent because the venue never acknowledged or refused it, because its first data did not come, because
it has been quiet for much longer than usual, or because no connection carries it. These call for different remedies, so
they are different states. Pure: the caller looks about once a second and says the time; nothing is done per record.

What is usual for a symbol is its *baseline*: an exponentially weighted mean of the time between two looks that found
new data. A burst counts as one look, so for a symbol that trades ten times in a second and then rests for a minute, a
rest of a minute is usual.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from typing import NamedTuple

from k2conn.engine.conversation.subscriptions import SubscriptionState
from k2conn.graded import GradedState


class SilenceState(GradedState):
    """How one stream of one symbol does, from good to bad; all of them together are a metric's labels."""

    LIVE = "live"
    ASKED = "asked"
    """Its first data may still come."""
    QUIET = "quiet"
    NO_DATA = "no-data"
    UNACKNOWLEDGED = "unacknowledged"
    REFUSED = "refused"
    DEAD = "dead"

    @property
    def silent(self) -> bool:
        """Whether data should come and does not."""
        return self in REASONS

    @property
    def reason(self) -> str:
        """Why it is silent, for people; KeyError where it is not."""
        return REASONS[self]


REASONS = {
    SilenceState.QUIET: "gone quiet against its habit",
    SilenceState.NO_DATA: "acknowledged, but no first data",
    SilenceState.UNACKNOWLEDGED: "never acknowledged",
    SilenceState.REFUSED: "refused by the venue",
    SilenceState.DEAD: "nothing that carries it is connected",
}
"""Why a symbol is silent; the other states are not silent."""

FLOOR = 30.0
"""Seconds of silence that are usual for every symbol."""
FACTOR = 20.0
"""How many times its usual time between data a symbol may be silent."""
WEIGHT = 0.1
"""The weight of the latest gap in the mean."""
GAPS = 5
"""Gaps that must have been seen before it is known what is usual."""
FIRST_DATA = 60.0
"""Seconds that the first data after an acknowledgement may take."""
_EXPECTED = (SubscriptionState.PENDING, SubscriptionState.CONFIRMED)
"""The states of subscriptions that data is to come of."""


class SilenceReading(NamedTuple):
    """What is known of one stream of one symbol at one moment.

    ``asked_since``: when the connection that carries it was opened, or, where that was later, when it was asked for
    there; None where there is no connection. ``subscription`` is its state there, None where there is none;
    ``received`` is how many items ever came.
    """

    asked_since: float | None
    subscription: SubscriptionState | None
    received: int


class Baseline:
    """How often one symbol has data."""

    __slots__ = ("_gaps", "last", "mean", "received")

    def __init__(self, received: int, now: float) -> None:
        self.received = received
        self.last: float | None = now if received else None
        """When data was last found."""
        self.mean = 0.0
        self._gaps = 0

    def see(self, received: int, now: float) -> None:
        """One look; new data ends a gap."""
        if received <= self.received:
            return
        if self.last is not None:
            self._gaps += 1
            gap = now - self.last
            self.mean += (gap - self.mean) * max(WEIGHT, 1 / self._gaps)
        self.received, self.last = received, now

    @property
    def patience(self) -> float | None:
        """Seconds of silence that are still usual; None while that is not known."""
        return max(FLOOR, FACTOR * self.mean) if self._gaps >= GAPS else None


Baselines = dict[tuple[str, str], Baseline]
"""By stream and record symbol."""


class SilenceDetector:
    """The states of all streams and symbols of one connector. Keys are (stream, record symbol).

    ``baselines`` may be another detector's, too: that of a connector which this one's is to replace.
    """

    def __init__(self, baselines: Baselines | None = None) -> None:
        self._baselines: Baselines = {} if baselines is None else baselines
        self.states: dict[tuple[str, str], SilenceState] = {}

    def look(self, key: tuple[str, str], reading: SilenceReading, now: float) -> SilenceState:
        """The state of one stream of one symbol; ``now`` is seconds of a monotonic clock."""
        baseline = self._baselines.get(key)
        if baseline is None:
            baseline = self._baselines[key] = Baseline(reading.received, now)
        else:
            baseline.see(reading.received, now)
        state = self.states[key] = _state(baseline, reading, now)
        return state

    def silence(self, key: tuple[str, str], now: float) -> float | None:
        """Seconds since data was last found; None where none ever was."""
        baseline = self._baselines.get(key)
        return None if baseline is None or baseline.last is None else now - baseline.last

    def forget(self, known: Set[tuple[str, str]]) -> None:
        """Forgets whatever is not in ``known``."""
        for key in self.states.keys() - known:
            del self.states[key]
            self._baselines.pop(key, None)

    def counts(self, stream: str) -> dict[SilenceState, int]:
        """How many of a stream's symbols are in each state; every state is there."""
        found = Counter(state for (name, _), state in self.states.items() if name == stream)
        return {state: found[state] for state in SilenceState}

    def silent(self, stream: str) -> SilenceState | None:
        """The worst state of a stream whose symbols are all silent; None where one is not."""
        own = [state for (name, _), state in self.states.items() if name == stream]
        return SilenceState.worst(own) if all(state.silent for state in own) else None

    def worst(self, stream: str, most: int) -> Iterator[tuple[str, SilenceState]]:
        """Some of a stream's silent symbols and their states, the worst first."""
        own = [(symbol, state) for (name, symbol), state in self.states.items() if name == stream and state.silent]
        own.sort(key=lambda one: (-one[1].grade, one[0]))
        yield from own[:most]


def _state(baseline: Baseline, reading: SilenceReading, now: float) -> SilenceState:
    if reading.asked_since is None:
        return SilenceState.DEAD
    if reading.subscription == SubscriptionState.REFUSED:
        return SilenceState.REFUSED
    since = now - reading.asked_since
    if baseline.last is None or baseline.last < reading.asked_since:
        if reading.subscription == SubscriptionState.UNACKNOWLEDGED:
            return SilenceState.UNACKNOWLEDGED
        late = reading.subscription in _EXPECTED and since > max(FIRST_DATA, baseline.patience or 0.0)
        return SilenceState.NO_DATA if late else SilenceState.ASKED
    patience = baseline.patience
    quiet = patience is not None and now - baseline.last > patience
    return SilenceState.QUIET if quiet else SilenceState.LIVE
