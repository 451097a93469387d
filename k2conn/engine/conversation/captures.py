"""What a connection keeps of the venue's messages (`capture:`), as `$state`: bounded, whatever the venue sends."""

from __future__ import annotations

from typing import Any

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import Json

MOST_ROWS = 20_000
"""Rows of all tables of a connection."""
MOST_BYTES = 8 * 1024 * 1024
"""Bytes of everything that is kept, as JSON."""
LARGEST = 64 * 1024
"""Bytes of one value."""
LONGEST_KEY = 256
"""Characters of a row's key."""


class Captures:
    """Those of one connection; ``state`` is where expressions look them up."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self._sizes: dict[tuple[str, str], int] = {}
        self._bytes = 0
        self.count = 0
        """How often something was kept."""

    def keep(self, into: str, key: Json, value: Json) -> None:
        """Keeps a value: under ``into``, or where there is a key, in its table. RecordError where there is no room."""
        row = "" if key is None else exactjson.excerpt(key, LONGEST_KEY + 1)
        place = into, row
        if len(row) > LONGEST_KEY:
            raise _refused(into, f"a key of more than {LONGEST_KEY} characters")
        size = len(exactjson.encode(value)) + len(row)
        if size > LARGEST:
            raise _refused(into, f"a value of {size} bytes, which are more than {LARGEST}")
        total = self._bytes + size - self._sizes.get(place, 0)
        if total > MOST_BYTES or (place not in self._sizes and len(self._sizes) >= MOST_ROWS):
            raise _refused(into, f"more than {MOST_ROWS} rows or {MOST_BYTES} bytes")
        self._sizes[place], self._bytes = size, total
        self.count += 1
        if key is None:
            self._state[into] = value
        else:
            self._state.setdefault(into, {})[row] = value


def _refused(into: str, what: str) -> RecordError:
    return RecordError(into, None, None, "frame-too-large", f"not captured: {what}")
