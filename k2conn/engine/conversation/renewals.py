"""When set-up steps are sent again on the open connection (`renew:`), for a token that expires.

Pure: times are seconds of a monotonic clock and come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k2conn.plan import Json, Renewal, Step

FASTEST = 10.0
"""Seconds between two renewals, at least, where the venue says how many."""
FIRST_RETRY, LONGEST_RETRY = 30.0, 1800.0
"""Seconds after which calls that failed are made again: the first, doubling, to the longest."""


class StepRenewals:
    """Those of one connection. A step is by its place in the list of steps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._renewals = {at: step.renew for at, step in enumerate(steps) if step.renew is not None}
        self._due: dict[int, float] = {}
        self._calling: set[int] = set()
        """Those that are sent when the calls of `before` have been made again."""
        self._reply_by: dict[int, float] = {}
        self._failures = 0
        """Calls that failed one after the other."""

    def of(self, at: int) -> Renewal | None:
        """How a step is renewed; None where it is not."""
        return self._renewals.get(at)

    def stands(self, at: int, now: float, state: Mapping[str, Json]) -> None:
        """A step was sent, and answered where it waits for an answer: from now on it is in force. RecordError where
        nobody knows for how long.
        """
        self._reply_by.pop(at, None)
        renewal = self._renewals.get(at)
        if renewal is not None:
            self._due[at] = now + max(FASTEST if renewal.learnt else 0.0, renewal.every(state) - renewal.early)

    @property
    def deadline(self) -> float | None:
        """When something is due next; None for never."""
        return min((*self._due.values(), *self._reply_by.values()), default=None)

    def take_due(self, now: float) -> list[int]:
        """The steps that are to be sent now. Those that the calls of `before` come before are not among them:
        `take_called` gives them.
        """
        due = [at for at, moment in self._due.items() if moment <= now]
        for at in due:
            del self._due[at]
        self._calling |= {at for at in due if self._renewals[at].before}
        return [at for at in due if not self._renewals[at].before]

    @property
    def calls(self) -> bool:
        """Whether calls of `before` are to be made again, or are under way."""
        return bool(self._calling)

    def take_called(self) -> list[int]:
        """The calls were made: the steps that are to be sent thereupon."""
        found, self._calling, self._failures = sorted(self._calling), set(), 0
        return found

    def calls_failed(self, now: float) -> None:
        """The calls could not be made: they are tried again later."""
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures, 60))
        self._failures += 1
        for at in self._calling:
            self._due[at] = now + delay
        self._calling.clear()

    def sent(self, at: int, reply_by: float) -> None:
        """A step was sent again, and is to be answered until then."""
        self._reply_by[at] = reply_by

    def waits(self, at: int) -> bool:
        """Whether a step was sent again and not answered yet."""
        return at in self._reply_by

    def unanswered(self, now: float) -> int | None:
        """A step whose renewal was not answered in time; None where there is none."""
        return next((at for at, moment in self._reply_by.items() if moment <= now), None)

    def resume(self, held: float) -> None:
        """Nothing was read for so many seconds."""
        self._reply_by = {at: moment + held for at, moment in self._reply_by.items()}
