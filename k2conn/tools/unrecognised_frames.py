"""Frames that no rule of a connector knows, by their shape: what a recording has that the file does not mention."""

from __future__ import annotations

from collections.abc import Iterator

from k2conn import exactjson

SHAPES = 20
"""Shapes of which a sample is kept."""
SHOWN = 300
"""Characters of a sample."""
_DEPTH = 4
_WORD = 24
"""Characters of the longest text that counts as a word of the protocol, when it stands under a key that names kinds."""
_KINDS = ("action", "arg", "ch", "channel", "cmd", "code", "e", "event", "method", "name", "op", "op_type", "success",
          "topic", "type")


class UnrecognisedFrames:
    """Counts them, and keeps the first of each shape."""

    def __init__(self) -> None:
        self._found: dict[object, tuple[str, int]] = {}
        self._more = 0

    def add(self, frame: str) -> None:
        """One such frame."""
        shape = shape_of(frame)
        sample, count = self._found.get(shape, (frame, 0))
        if count or len(self._found) < SHAPES:
            self._found[shape] = (sample, count + 1)
        else:
            self._more += 1

    def samples(self) -> Iterator[str]:
        """A line for each shape, the most frequent first."""
        for sample, count in sorted(self._found.values(), key=lambda one: -one[1]):
            line = sample if len(sample) <= SHOWN else f"{sample[:SHOWN]}..."
            yield f"unrecognised, {count} {'frame' if count == 1 else 'frames'} like: {line}"
        if self._more:
            yield f"unrecognised, {self._more} frames of further shapes"


def shape_of(frame: str) -> object:
    """What frames that look alike have in common."""
    try:
        return _shape(exactjson.decode(frame), "", 0)
    except exactjson.JsonError:
        return "text", frame[:_WORD]


def _shape(value: object, key: str, depth: int) -> object:
    """The keys and kinds of values; of a value that names a kind of message, the value itself."""
    if isinstance(value, dict):
        if depth == _DEPTH:
            return "map"
        return tuple((name, _shape(one, name, depth + 1)) for name, one in sorted(value.items()))
    if isinstance(value, list):
        return ("list", _shape(value[0], key, depth + 1) if value and depth < _DEPTH else None)
    if isinstance(value, str) and key in _KINDS and len(value) <= _WORD:
        return "".join("0" if one.isdigit() else one for one in value)
    return type(value).__name__
