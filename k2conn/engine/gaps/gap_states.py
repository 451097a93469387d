"""What is said of a gap: why it came about, whether it is still open, and how fetching what it lacks stands."""

from __future__ import annotations

from enum import StrEnum


class GapCause(StrEnum):
    """Between which two records something is missing."""

    STREAM = "stream"
    """Two of the same connection: the venue left something out."""
    RECONNECT = "reconnect"
    """Two of different connections."""
    RESTART = "restart"
    """The last one of an earlier process and the first one of this."""
    AUDIT = "audit"
    """The venue's own candle has more than was received."""
    RESET = "reset"
    """The venue's numbers began anew: whether something is missing before that cannot be told."""


class GapStatus(StrEnum):
    """Whether something is still missing, as gap records say it."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class BackfillStatus(StrEnum):
    """How fetching what is missing stands."""

    NONE = "none"
    """Nobody fetches it."""
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
