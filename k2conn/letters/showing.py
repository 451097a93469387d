"""A dead letter for people: its frame, and in it the place that the mapping could not read."""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn import exactjson
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
    start, end = _item(raw, letter.said.get("item"))
    value, key = letter.said.get("value"), _last_key(letter.said.get("expression"))
    at, length = _find(raw, start, end, value, key)
    if at < 0:
        return Marked("", "")
    left, right = max(0, at - AROUND), min(len(raw), at + length + AROUND)
    before = "..." if left else ""
    piece = before + raw[left:right] + ("..." if right < len(raw) else "")
    clean = "".join(one if one.isprintable() else " " for one in piece)
    return Marked(clean, " " * (len(before) + at - left) + "^" * max(1, length))


def _item(raw: str, item: Any) -> tuple[int, int]:
    """Where the item stands: by its text as it was sent, where that is compact or has blanks behind its marks."""
    if isinstance(item, str) and item:
        for text in (item, item.replace('":', '": ').replace(',"', ', "')):
            at = raw.find(text)
            if at >= 0:
                return at, at + len(text)
    return 0, len(raw)


def _find(raw: str, start: int, end: int, value: Any, key: str) -> tuple[int, int]:
    if key:
        at = raw.find(f'"{key}"', start, end)
        if at >= 0:
            behind = at + len(key) + 2
            if isinstance(value, str) and value:
                for text in (exactjson.encode(value).decode(), value):
                    place = raw.find(text, behind, min(end, behind + len(text) + 16))
                    if place >= 0:
                        return place, len(text)
            return at, len(key) + 2
    if isinstance(value, str) and value:
        for text in (exactjson.encode(value).decode(), value):
            at = raw.find(text, start, end)
            if at >= 0:
                return at, len(text)
    return (start, end - start) if (start, end) != (0, len(raw)) else (-1, 0)


def _last_key(expression: Any) -> str:
    """The last name of a plain path; empty for anything else."""
    if not isinstance(expression, str):
        return ""
    name = expression.rpartition(".")[2].strip('"')
    return name if name.replace("_", "").replace("-", "").isalnum() else ""
