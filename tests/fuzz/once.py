"""What an execution only reads is made once, not for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Once:
    """Makes something of a stream, and gives the same again for the same stream. For what has no state of its own."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._made: dict[int, tuple[Any, Any]] = {}

    def by(self, stream: Any, *arguments: Any) -> Any:
        """What is made with these arguments, of which ``stream`` is one; it stays alive, so that no other one can have
        its id.
        """
        known = self._made.get(id(stream))
        if known is None:
            known = self._made[id(stream)] = stream, self._make(*arguments)
        return known[1]
