"""What may go wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """Misbehaviour of a mock exchange; may be changed while it runs. All counts are of data frames, per connection."""

    refuse: frozenset[str] = frozenset()
    """Native symbols that are refused."""
    silent: bool = False
    """Never acknowledge (subscriptions are made all the same)."""
    deaf: bool = False
    """Answer nothing at all, neither subscriptions nor heartbeats, and send no data."""
    no_pong: bool = False
    """Do not answer heartbeats."""
    close_after: int | None = None
    """Close each connection after so many frames."""
    close_code: int | None = 1011
    """The close code; None cuts the connection without one."""
    stall_after: int | None = None
    """Send no more data after so many frames, but keep the socket open and answer."""
    duplicate_every: int | None = None
    """Send each n-th frame twice."""
    garbage_every: int | None = None
    """Send a broken frame after each n-th."""
    delay: float = 0.0
    """Seconds before each answer to the client."""


GARBAGE = b'{"broken": ['
