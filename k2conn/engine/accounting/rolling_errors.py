"""Errors by kind: how many there were, and how many of them in the last 24 hours.

Fed with counts that others keep and that only grow, each of one source; one that is smaller than before has begun anew.
Pure: whoever looks says the time. Memory is bounded: a count for every few minutes of the last day.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum

SPAN = 24 * 3600.0
"""Seconds of a day."""
STEP = 300.0
"""Seconds that are counted together: an error is forgotten between `SPAN` and `SPAN` + `STEP` after it was counted."""


class ErrorKind(StrEnum):
    """What an error is about: a label of metrics, so these are all there are."""

    WEBSOCKET = "websocket"
    """A connection that was lost or could not be made, a refused subscription, an error message of a venue."""
    HTTP = "http"
    """A call to a venue that failed: of a backfill, or for its instrument list."""
    DATA = "data"
    """A dead letter, or a message that no rule knows."""
    GAP = "gap"
    """Records that did not come."""
    FEATURE = "feature"
    """A candle of which no features could be made."""
    SINK = "sink"
    """What Kafka, a database or the disk did not take."""
    LOST = "lost"
    """A record or dead letter that nothing could be done for."""
    BUG = "bug"
    """A bug that ended a connector."""


class RollingErrors:
    """All errors of one process."""

    def __init__(self) -> None:
        self.totals: Counter[ErrorKind] = Counter()
        """Since the start."""
        self._counted: dict[tuple[str, ErrorKind], int] = {}
        self._steps: deque[tuple[int, Counter[ErrorKind]]] = deque()

    def look(self, now: float, figures: Mapping[tuple[str, ErrorKind], int]) -> None:
        """Takes in the counts of all sources as they are ``now`` (seconds of a monotonic clock)."""
        step = int(now // STEP)
        for key, count in figures.items():
            before = self._counted.get(key, 0)
            self._counted[key] = count
            more = count - before if count >= before else count
            if more:
                self.totals[key[1]] += more
                if not self._steps or self._steps[-1][0] != step:
                    self._steps.append((step, Counter()))
                self._steps[-1][1][key[1]] += more
        self._forget(now)

    def recent(self, now: float) -> dict[ErrorKind, int]:
        """Those of the last 24 hours; kinds without any are left out."""
        self._forget(now)
        found: Counter[ErrorKind] = Counter()
        for _, counts in self._steps:
            found.update(counts)
        return dict(sorted(found.items()))

    def _forget(self, now: float) -> None:
        while self._steps and (self._steps[0][0] + 1) * STEP <= now - SPAN:
            self._steps.popleft()
