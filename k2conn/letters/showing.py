"""A dead letter for people: its frame, and in it the place that the mapping could not read."""

from __future__ import annotations

from typing import NamedTuple

from k2conn.engine.accounting.frame_place import place_in
from k2conn.letters.letter import DeadFrame, Letter

AROUND = 120
"""Characters of the frame on both sides of the place."""


class Marked(NamedTuple):
    """A piece of a frame and a line below it that marks the place; both empty where it is not found."""

    piece: str
    marks: str


def marked(frame: DeadFrame, letter: Letter) -> Marked:
    """Where the letter's value stands in the frame: within its item, and behind its key, as far as they are found."""
    raw = frame.frame
    if not isinstance(raw, str):
        return Marked("", "")
    at, length = place_in(raw, letter.said)
    if at < 0:
        return Marked("", "")
    left, right = max(0, at - AROUND), min(len(raw), at + length + AROUND)
    before = "..." if left else ""
    piece = before + raw[left:right] + ("..." if right < len(raw) else "")
    clean = "".join(one if one.isprintable() else " " for one in piece)
    return Marked(clean, " " * (len(before) + at - left) + "^" * max(1, length))
