"""Why a connection ends or is replaced."""

from __future__ import annotations

from enum import StrEnum


class EndCause(StrEnum):
    """The causes that k2conn itself finds. They count reconnects in metrics and in the summary, beside those that a
    transport has words of its own for (connect, tls, lost, http-503, ...).
    """

    CLOSED = "closed"
    """It came to its end without an error."""
    STOPPED = "stopped"
    """It was cancelled while it was being made."""
    SETTINGS = "settings"
    """A value that it needs cannot be had: a variable, a captured field, a frame within the venue's limit."""
    REFUSED = "refused"
    """The venue refused a login, or every subscription."""
    UNACKNOWLEDGED = "unacknowledged"
    """A set-up step was not answered, or no subscription was."""
    HEARTBEAT = "heartbeat"
    """A heartbeat was not answered in time."""
    STALE = "stale"
    """Not one frame came for too long."""
    STALE_STREAM = "stale-stream"
    """A whole stream had no data for too long, although other frames came."""
    NOTICE = "notice"
    """The venue asked for a new connection."""
    ROTATION = "rotation"
    """It was old enough to be replaced."""
    FAILBACK = "failback"
    """An address that is preferred to its own may have recovered."""
