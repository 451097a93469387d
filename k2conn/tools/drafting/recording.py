"""Reads recorded frames: each line is a frame, or a JSON object that has it under a key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from k2conn import exactjson


class DraftFrame(NamedTuple):
    """One frame: its text and the message in it."""

    text: str
    message: Any


class NoFrame(ValueError):
    """A line without a frame; the message names the line and the error."""


def frames(lines: Iterable[bytes], key: str | None) -> Iterator[DraftFrame]:
    """The frames of a recording; raises NoFrame. A frame that is not JSON (such as `pong`) is a message of text."""
    for number, line in enumerate(lines, 1):
        raw = line.strip()
        if raw:
            text = raw.decode("utf-8", "replace") if key is None else _held(raw, key, number)
            yield draft_frame(text)


def draft_frame(text: str) -> DraftFrame:
    """A frame with its message."""
    return DraftFrame(text, _message(text))


def _held(raw: bytes, key: str, number: int) -> str:
    try:
        members = exactjson.members(raw)
    except exactjson.JsonError as error:
        raise NoFrame(f"line {number} is not a JSON object: {error}") from None
    if key not in members:
        raise NoFrame(f"line {number} has no '{key}'; it has {', '.join(sorted(members)) or 'nothing'}")
    held = members[key]
    return str(exactjson.decode(held)) if held[:1] == b'"' else held.decode("utf-8", "replace")


def _message(text: str) -> Any:
    try:
        return exactjson.decode(text)
    except exactjson.JsonError:
        return text
