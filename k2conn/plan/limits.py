"""A venue's declared limits, and the delays between attempts to connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` in ``seconds``."""

    count: int
    seconds: float


POLITE_CONNECTS = Rate(30, 30.0)
"""Connection attempts to a venue that declares no limit on them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A venue's declared limits; None where it declares none."""

    connect: Rate | None = None
    """Where none is declared, `POLITE_CONNECTS` is kept to."""
    send: Rate | None = None
    symbols: int | None = None
    topics: int | None = None
    requests: Rate | None = None
    """Requests of connections that ask again and again, all of one kind together."""
    frame: int | None = None
    """Bytes of one frame that we send."""
    connections: int | None = None
    unanswered: int | None = None
    """Requests of one connection that wait for an answer at the same time."""
    lifetime: float | None = None
    """Seconds until the venue ends a connection; None where it does not."""
    per: Literal["connection", "ip"] = "connection"
    """What ``connect`` and ``requests`` count: connections of this kind, or all that go to the same host."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between connection attempts, in seconds: full jitter below base * factor**n, up to ``cap``."""

    base: float = 1.0
    factor: float = 2.0
    cap: float = 60.0
    attempts: int | None = None
    """Give up after so many attempts without data in between; None: never."""
