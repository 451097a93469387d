"""The lines of a recording. Each is a JSON object:

    {"time": 1767323045000000, "now": 81234567, "connector": "NAME", "socket": "main-0", "session": 1,
     "kind": "received", "text": "..."}

``time`` is the moment in microseconds since the epoch, ``now`` the same by a clock that is never set back. A binary
frame has ``base64``, or ``text`` and ``"binary": true`` where it is text in UTF-8 all the same. ``"masked": true`` says
that a secret was taken out of what stands there. Frames that came in one read follow each other with one ``time``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.observe import Opening, SessionPlace
from k2conn.plan import Symbol
from k2conn.secret_mask import SECRETS


class EntryKind(StrEnum):
    """What a line tells of."""

    BEGUN = "begun"
    """A connector starts with its ``streams``; ``kept`` says whether it may know what earlier processes have seen."""
    OPENED = "opened"
    """A connection is open: ``connection``, ``shard``, ``replica``, ``symbols``, ``seed``."""
    RECEIVED = "received"
    SENT = "sent"
    ANSWERED = "answered"
    """An HTTP answer: ``answer``, ``request`` (its number; null for the instrument list)."""
    CARRIED = "carried"
    """Other ``symbols`` for an open connection."""
    LOOKED = "looked"
    """Gaps that were due were published."""
    ENDED = "ended"
    """``cause``, ``detail``."""
    LOST = "lost"
    """``frames`` and ``events`` are missing here: the disk was too slow, or full (``cause``)."""


class RecordedEntry(NamedTuple):
    """One line. ``text``: of a frame; ``more``: what else the line has."""

    time: int
    now: int
    kind: EntryKind
    place: SessionPlace
    frame: str | bytes
    masked: bool
    more: dict[str, Any]


class BadLine(ValueError):
    """A line that is none of a recording."""


def frame_lines(
    kind: EntryKind, place: SessionPlace, frames: Sequence[str | bytes], now: float, wall: int
) -> Iterator[bytes]:
    """A line for each frame, without known secrets."""
    head = _head(kind, place, now, wall)
    for frame in frames:
        shown = SECRETS.hide(frame) if isinstance(frame, str) else SECRETS.hide_bytes(frame)
        line = {**head, **_members(shown)}
        if shown is not frame and shown != frame:
            line["masked"] = True
        yield exactjson.encode(line)


def line(kind: EntryKind, place: SessionPlace, now: float, wall: int, **more: Any) -> bytes:
    """A line for what is no frame, without known secrets."""
    hidden = SECRETS.hide(more)
    masked = {"masked": True} if hidden != more else {}
    return exactjson.encode({**_head(kind, place, now, wall), **hidden, **masked})


def opening_members(opening: Opening) -> dict[str, Any]:
    """The members of a line that says how a session begins."""
    return {"connection": opening.connection, "shard": opening.shard, "replica": opening.replica,
            "symbols": symbol_rows(opening.symbols), "seed": opening.seed}


def symbol_rows(symbols: Sequence[Symbol]) -> list[list[Any]]:
    """Symbols as a line has them."""
    return [list(one) for one in symbols]


def entry(raw: bytes) -> RecordedEntry:
    """What a line says. Raises BadLine."""
    try:
        said = exactjson.decode(raw)
        time, now = int(said.pop("time")), int(said.pop("now"))
        kind = EntryKind(said.pop("kind"))
        place = SessionPlace(str(said.pop("connector")), str(said.pop("socket")), int(said.pop("session")))
        frame: str | bytes = ""
        if "base64" in said:
            frame = base64.b64decode(said.pop("base64"), validate=True)
        elif "text" in said:
            frame = str(said.pop("text"))
            frame = frame.encode() if said.pop("binary", False) else frame
        elif kind in (EntryKind.RECEIVED, EntryKind.SENT):
            raise BadLine("it has no frame")
        return RecordedEntry(time, now, kind, place, frame, bool(said.pop("masked", False)), said)
    except KeyError as error:
        raise BadLine(f"it has no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:  # JsonError among them
        raise BadLine(str(error)) from None


def _head(kind: EntryKind, place: SessionPlace, now: float, wall: int) -> dict[str, Any]:
    return {"time": wall, "now": round(now * 1_000_000), "connector": place.connector, "socket": place.socket,
            "session": place.session, "kind": kind.value}


def _members(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, str):
        return {"text": frame.encode("utf-8", "replace").decode()}
    try:
        return {"text": frame.decode(), "binary": True}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(frame).decode()}
