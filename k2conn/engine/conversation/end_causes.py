"""Why a connection ends or is replaced."""

from __future__ import annotations

from enum import StrEnum


class EndCause(StrEnum):
    """The causes that k2conn itself detects. Metrics and the summary count reconnects by cause; a transport adds causes
    of its own (connect, tls, lost, http-503, ...).
    """

    CLOSED = "closed"
    """The connection ended without an error."""
    STOPPED = "stopped"
    """It was cancelled while it was being established."""
    SETTINGS = "settings"
    """A value that it needs is not available (an environment variable, a captured field), or a frame exceeds the
    venue's limit.
    """
    REFUSED = "refused"
    """The venue refused a login, or every subscription."""
    UNACKNOWLEDGED = "unacknowledged"
    """A set-up step was not answered, or no subscription was."""
    HEARTBEAT = "heartbeat"
    """A heartbeat was not answered in time."""
    STALE = "stale"
    """No frame was received for too long."""
    STALE_STREAM = "stale-stream"
    """A whole stream had no data for too long, although other frames were received."""
    NOTICE = "notice"
    """The venue asked for a new connection."""
    ROTATION = "rotation"
    """It reached its maximum lifetime and was replaced."""
    FAILBACK = "failback"
    """An address of higher priority than its own may have recovered."""


PLANNED = (EndCause.ROTATION, EndCause.FAILBACK)
"""Ends of a connection whose successor stood before: nothing was lost."""
