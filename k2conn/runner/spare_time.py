"""What a process does beside its work, such as looking at the form of messages, has a small part of its time: each of
those who do it has as much of that as the others, however many connectors there are.
"""

from __future__ import annotations

from weakref import WeakSet


class SpareTime:
    """``share``: the part of the time, for all together."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._users: WeakSet[object] = WeakSet()

    def join(self, user: object) -> None:
        """One more has a part of it, for as long as there is something that keeps it."""
        self._users.add(user)

    def rest(self, spent: float) -> float:
        """How long somebody rests who has just spent so many seconds."""
        return spent / self._share * max(1, len(self._users))
