"""What a venue says is wrong, beside its answers to subscriptions: counted, and told apart by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)
"""What differs from one error to the next of a kind: numbers, ids."""
_MOST = 50
"""Kinds that are told apart; a venue whose words are ever new fills no log."""


@dataclass(slots=True)
class VenueErrors:
    """The errors of one connector's venue, over all of its connections."""

    count: int = 0
    last: str = ""
    """The venue's latest words."""
    _kinds: set[str] = field(default_factory=set)

    def heard(self, words: str) -> bool:
        """One error; whether it is the first of its kind, and so worth a line of the log."""
        self.count += 1
        self.last = words
        kind = _VARIABLE.sub("#", words)
        if kind in self._kinds or len(self._kinds) >= _MOST:
            return False
        self._kinds.add(kind)
        return True
