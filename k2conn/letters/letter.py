"""One dead letter as it was written (`k2conn.engine.accounting.dead_letter`), and the frames that letters stand for."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from k2conn import exactjson


class BadLetter(ValueError):
    """What is no dead letter of k2conn; the text says why."""


class Letter(NamedTuple):
    """A letter and where it was found. ``said`` has all of its members."""

    connector: str
    stream: str
    reason: str
    field: str
    frame_id: str
    place: str
    said: dict[str, Any]

    @property
    def items(self) -> int:
        """The items that it stands for."""
        found = self.said.get("count", 1)
        return found if type(found) is int and found > 0 else 1


@dataclass(slots=True)
class DeadFrame:
    """A frame with all of its letters that were found."""

    connector: str
    frame_id: str
    letters: list[Letter] = field(default_factory=list)

    @property
    def first(self) -> Letter | None:
        """The letter that carries the frame."""
        return next((one for one in self.letters if _frame(one.said) is not None), None)

    @property
    def frame(self) -> str | bytes | None:
        """The frame; None where no letter with it was found."""
        return None if self.first is None else _frame(self.first.said)


def letter(raw: bytes, place: str) -> Letter:
    """What a document says; raises BadLetter."""
    try:
        said = exactjson.decode(raw)
    except exactjson.JsonError as error:
        raise BadLetter(f"{place}: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("reason"), str) or "detail" not in said:
        raise BadLetter(f"{place}: no dead letter of k2conn")
    names = [said.get(name) for name in ("connector", "stream", "reason", "field", "frame_id")]
    connector, stream, reason, where, frame = (one if isinstance(one, str) else "" for one in names)
    return Letter(connector, stream, reason, where, frame, place, said)


def frames_of(letters: Iterable[Letter]) -> list[DeadFrame]:
    """The frames of some letters, in the order of their receipt; letters that are of no frame are left out."""
    found: dict[tuple[str, str], DeadFrame] = {}
    for one in letters:
        if one.frame_id:
            key = one.connector, one.frame_id
            known = found.setdefault(key, DeadFrame(*key))
            if all(other.said != one.said for other in known.letters):  # a letter may have been delivered twice
                known.letters.append(one)
    return sorted(found.values(), key=lambda frame: received_at(frame.letters[0].said))


def received_at(said: dict[str, Any]) -> int:
    """When the frame was received, in microseconds since the epoch; 0 where the letter does not say."""
    found = said.get("received_at")
    return found if type(found) is int else 0


def _frame(said: dict[str, Any]) -> str | bytes | None:
    text, binary = said.get("frame"), said.get("frame_base64")
    if isinstance(text, str):
        return text
    if isinstance(binary, str):
        try:
            return base64.b64decode(binary, validate=True)
        except ValueError:
            return None
    return None
