"""Our own pings on one connection: when the next is due, and until when its answer has to come."""

from __future__ import annotations

from collections.abc import Mapping

from k2conn.errors import RecordError
from k2conn.plan import Heartbeat, Json


class OwnPings:
    """The clock of a heartbeat that sends frames; it stands still where there is none."""

    def __init__(self, heartbeat: Heartbeat | None) -> None:
        self._heartbeat = heartbeat if heartbeat is not None and heartbeat.send is not None else None
        self._every: float | None = None
        self.at: float | None = None
        """When the next ping is due."""
        self.answer_by: float | None = None
        """When the answer to one is overdue."""

    def start(self, state: Mapping[str, Json], now: float) -> None:
        """Starts the clock, if it stands still. A period that the venue says is known from when it has said it: before
        the connection, or in a message on it, a welcome for instance. Raises RecordError where it is no period.
        """
        if self._heartbeat is None or self._every is not None:
            return
        try:
            self._every = self._heartbeat.every(state)
        except RecordError as error:
            if error.reason == "missing-field":
                return
            raise
        self.at = now + self._every

    def sent(self, now: float) -> None:
        """A ping was sent."""
        assert self._heartbeat is not None
        assert self._every is not None
        self.at = now + self._every
        if self._heartbeat.within is not None and self.answer_by is None:
            self.answer_by = now + self._heartbeat.within

    def answered(self) -> None:
        """Its answer came."""
        self.answer_by = None

    def resume(self, held: float) -> None:
        """Reading was paused for ``held`` seconds, in which no answer could be seen."""
        self.answer_by = None if self.answer_by is None else self.answer_by + held
