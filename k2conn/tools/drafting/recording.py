"""Reads recorded frames: each line is a frame, or a JSON object that has it under a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from k2conn import exactjson

_TIME = (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d{2}:?\d{2}))?"
         r"|\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?|\d{9,19}(?:\.\d{1,9})?")
_SENT = frozenset({">", ">>", ">>>", "->", "-->", "\u2191", "\u2192", "sent", "send", "out", "tx", "request"})
_RECEIVED = frozenset({"<", "<<", "<<<", "<-", "<--", "\u2193", "\u2190", "recv", "received", "in", "rx", "response"})
_MARK = "|".join(re.escape(one) + (r"\b" if one.isalpha() and one.isascii() else "")
                 for one in sorted(_SENT | _RECEIVED, key=len, reverse=True))
_CODED = r"(?:\d{1,3}(?:[\[{\x22/]|$)|[aohcm](?:\[|$))"
"""How frames of Socket.IO and SockJS begin: a few digits or a letter, and then JSON, a name or nothing."""
_BETWEEN = r"[\s:,;|\])-]{0,4}"
_PREFIX = re.compile(
    rf"[\[(]?(?P<time>{_TIME})?{_BETWEEN}(?:[\[(]?(?P<mark>{_MARK}){_BETWEEN})?"
    rf"(?=[{{\[\x22A-Za-z]|(?<=[\s<>:\])]){_CODED})", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{1,20}\Z")


class DraftFrame(NamedTuple):
    """One frame: its text and the message in it."""

    text: str
    message: Any
    sent: bool = False
    """Whether we said it, not the venue: a recording may mark that."""


class NoFrame(ValueError):
    """A line without a frame; the message names the line and the error."""


def frames(lines: Iterable[bytes], key: str | None) -> Iterator[DraftFrame]:
    """The frames of a recording; raises NoFrame. A frame that is not JSON (such as `pong`) is a message of text.

    Before a frame may stand a time and a mark of its direction, as programs write them: ``2026-01-02T03:04:05Z {...}``,
    ``[03:04:05.678] < {...}``, ``1767323045.678: {...}``, ``> {...}`` for what was sent.
    """
    for number, line in enumerate(lines, 1):
        raw = line.strip()
        if not raw:
            continue
        if key is not None:
            yield draft_frame(_held(raw, key, number))
        else:
            yield _behind_prefix(raw.decode("utf-8", "replace"))


def _behind_prefix(line: str) -> DraftFrame:
    """The frame of a line, without what a program wrote before it."""
    whole = draft_frame(line)
    found = _PREFIX.match(line) if isinstance(whole.message, str) else None
    if found is None or not (found["time"] or found["mark"]):
        return whole
    rest = line[found.end() :]
    if rest[:2] == '"{' and rest[-1:] == '"':  # as a table in CSV quotes it
        rest = rest[1:-1].replace('""', '"')
    frame = draft_frame(rest)
    if isinstance(frame.message, str) and not _WORD.match(rest) and not re.match(_CODED, rest):
        return whole
    return frame._replace(sent=(found["mark"] or "").lower() in _SENT)


def draft_frame(text: str) -> DraftFrame:
    """A frame with its message."""
    return DraftFrame(text, _message(text))


def messages(sample: Iterable[DraftFrame]) -> tuple[list[DraftFrame], bool]:
    """The messages of what was received, each with its frame's text; and whether frames are lists of messages."""
    received = [frame for frame in sample if not frame.sent]
    split = any(_is_list_of_messages(frame.message) for frame in received)
    if not split:
        return received, False
    return [
        DraftFrame(frame.text, one)
        for frame in received for one in (frame.message if isinstance(frame.message, list) else (frame.message,))
    ], True


def _is_list_of_messages(message: Any) -> bool:
    return isinstance(message, list) and bool(message) and (
        all(isinstance(one, dict) for one in message) or all(isinstance(one, list) for one in message)
    )


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
