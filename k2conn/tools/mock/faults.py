"""Faults that a mock exchange can be told to make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """The faults of a mock exchange; may be changed while it runs. All counts are of data frames, per connection;
    those of `skip_every`, `reorder_every` and `corrupt_every` are of one stream and symbol, the same for all clients.
    """

    refuse: frozenset[str] = frozenset()
    """Native symbols that are refused."""
    silent: bool = False
    """Never acknowledge (but make the subscriptions)."""
    deaf: bool = False
    """Answer nothing at all, neither subscriptions nor heartbeats, and send no data."""
    no_pong: bool = False
    """Do not answer heartbeats."""
    close_after: int | None = None
    """Close each connection after this many frames."""
    close_code: int | None = 1011
    """The close code; None cuts the connection without one."""
    stall_after: int | None = None
    """Send no more data after this many frames, but keep the socket open and answer."""
    duplicate_every: int | None = None
    """Send each n-th frame twice."""
    garbage_every: int | None = None
    """Send a broken frame after each n-th."""
    skip_every: int | None = None
    """Leave each n-th frame out: its ids are never sent."""
    reorder_every: int | None = None
    """Send each n-th frame after the one that follows it."""
    corrupt_every: int | None = None
    """Send each n-th frame broken, so that its items cannot be read."""
    reject: int = 0
    """Answer this many further connects with ``reject_status`` and a Retry-After of ``retry_after`` seconds."""
    reject_status: int = 429
    retry_after: int = 1
    delay: float = 0.0
    """Seconds before each answer to the client."""


GARBAGE = b'{"broken": ['


def corrupted(frame: str | bytes, readable: Callable[[str | bytes], bool] = lambda _: False) -> str | bytes:
    """A frame that cannot be decoded: of binary frames the first byte is changed, texts lose their end. Where that is
    still a frame (a binary layout may name what stands for any other, a cell of CSV may be anything), it loses its end,
    or half of it, too.
    """
    if isinstance(frame, str):
        changed_text = frame[:-1] if frame[-1:] in "]}" else "{" + frame
        return frame[: len(frame) // 2] if readable(changed_text) else changed_text
    changed = bytes([frame[0] ^ 0xFF]) + frame[1:]
    return frame[:-1] if readable(changed) else changed
