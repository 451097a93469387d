"""What a session wants done: the words in which it speaks to whoever holds the socket."""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn.errors import RecordError


class Send(NamedTuple):
    """Send this frame, text or binary."""

    frame: str | bytes


class Close(NamedTuple):
    """Close the socket and connect again after at least ``delay`` seconds."""

    cause: str
    detail: str = ""
    delay: float = 0.0


class Note(NamedTuple):
    """Something to log and count: confirmed, refused, unacknowledged, error, unrecognised, settled, changed."""

    kind: str
    detail: dict[str, Any]


class Malformed(NamedTuple):
    """A frame that is no message: a dead letter."""

    error: RecordError


Action = Send | Close | Note | Malformed
