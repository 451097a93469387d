"""Condenses the log of the Kafka client: keeps the last line for the status, and logs repeated lines only now and then.
"""

from __future__ import annotations

import logging

from k2conn.clock import monotonic

EVERY = 30.0
"""Seconds between two equal lines: the client repeats itself ten times a second while a broker is away."""

_ours = logging.getLogger("k2conn.sinks.kafka")
_theirs = logging.getLogger("aiokafka")


class ClientLogHandler(logging.Handler):
    """Listens to the client's warnings between ``attach`` and ``detach``; ``last`` is the latest."""

    def __init__(self, quiet: bool = False) -> None:
        """``quiet``: nothing is passed on."""
        super().__init__(logging.WARNING)
        self._quiet = quiet
        self.last: str | None = None
        self._said: dict[str, float] = {}

    def reason(self, text: str) -> str:
        """A better reason than ``text``, where the client has only said in its log why it finds nobody."""
        return self.last if self.last and "Unable to bootstrap" in text else text

    def attach(self) -> None:
        """Take the client's log over."""
        _theirs.propagate = False
        _theirs.addHandler(self)

    def detach(self) -> None:
        """Give it back."""
        _theirs.removeHandler(self)
        _theirs.propagate = not _theirs.handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the line; log it unless an equal one was logged shortly before."""
        self.last = record.getMessage()
        kind, now = str(record.msg), monotonic()
        if not self._quiet and now - self._said.get(kind, -EVERY) >= EVERY:
            self._said[kind] = now
            _ours.warning("kafka client: %s", self.last)
