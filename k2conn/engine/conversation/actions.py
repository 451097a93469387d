"""The actions a session asks of the connection that owns the socket."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from k2conn.engine.conversation.end_causes import EndCause
from k2conn.errors import RecordError


class Send(NamedTuple):
    """Send this frame, text or binary."""

    frame: str | bytes


class Close(NamedTuple):
    """Close the socket and connect again after at least ``delay`` seconds."""

    cause: EndCause
    detail: str = ""
    delay: float = 0.0


class CallAgain(NamedTuple):
    """Make the HTTP calls of `before` again, then say so with `Session.called` or `Session.calls_failed`."""


class NoteKind(StrEnum):
    """What a session reports; each is also the text of a log line."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """One subscription was refused."""
    UNACKNOWLEDGED = "unacknowledged"
    """Some subscriptions of a step were not answered in time."""
    HALVED = "halved"
    """A frame for several subscriptions was refused; each half is sent by itself."""
    FIRST_DATA = "first-data"
    SETTLED = "settled"
    """All steps are done."""
    CHANGED = "changed"
    """A change of the symbols is done."""
    RENEWED = "renewed"
    """A set-up step was sent again, and answered where it waits for an answer."""
    ERROR = "error"
    """The venue reported an error."""
    UNRECOGNISED = "unrecognised"
    """A message that matches no rule."""


class Note(NamedTuple):
    """Something to log and count."""

    kind: NoteKind
    detail: dict[str, Any]


class Malformed(NamedTuple):
    """A frame that cannot be decoded: it becomes a dead letter."""

    error: RecordError


Action = Send | Close | CallAgain | Note | Malformed
