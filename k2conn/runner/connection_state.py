"""The states of a connection, and of a connector: it is in the worst state of its connections."""

from __future__ import annotations

from k2conn.graded import GradedState


class ConnectionState(GradedState):
    """From good to bad; a connection that was stopped wants nothing more."""

    STOPPED = "stopped"
    LIVE = "live"
    """Every subscription was answered."""
    SUBSCRIBING = "subscribing"
    """Connected; some subscriptions are not answered yet."""
    CONNECTING = "connecting"
    WAITING = "waiting"
    """For its next attempt, or for an address that is in order."""
    FAILED = "failed"
    """Its attempts are used up."""
