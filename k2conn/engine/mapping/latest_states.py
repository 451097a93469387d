"""The latest state of each symbol's span, where a venue does not say which state of a span is its last.

There a span is over when the next one opens: frames of one connection come in order, so what came last was the last.
Of what another connection brought nothing is known: it may have ended in the middle of a span. So the states live and
die with their connection, and a span that began on one and ended on the next is missing, if no later state comes.

A state is kept with its message and its frame, so what is kept is bounded: in symbols, and in what frames and messages
take. A state beyond these is a dead letter, and its span has no last state unless a later one comes that can be kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.engine.symbol_state import STATES
from k2conn.errors import RecordError

MOST_BYTES = 16 * 1024 * 1024
"""What the states of one connection may take, all its streams together. Frames and messages that several symbols share
count once.
"""
_VALUE = 64
"""Bytes that one value of a message takes, nearly, beside its text in the frame."""


class Arrival(NamedTuple):
    """One state as it came: the item, its message and frame, and when it came (microseconds since the epoch)."""

    item: Any
    message: Any
    frame: str | bytes
    received_at: int
    snapshot: bool


class LatestStates:
    """Those of one connection, by stream and by our spelling of the symbol."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.bytes = 0
        """What is kept takes, nearly."""
        self._most_bytes = most_bytes
        self._known: dict[str, dict[str, tuple[int, Arrival | None]]] = {}
        """Each symbol's span by its beginning, with its latest state; None where that could not be kept."""
        self._held: dict[int, tuple[int, int]] = {}
        """By identity of a frame or message: how many states it is kept for, and what it takes."""

    def take(
        self, stream: str, symbol: str, begin_us: int, arrival: Arrival, most: int
    ) -> tuple[bool, Arrival | None, RecordError | None]:
        """Takes in a state of the span that begins at ``begin_us``, where there are ``most`` symbols (one in two
        streams is two) at most. Whether that span is over (a later one had begun: the state is late), the last state
        of the span that is over because this one begins, and why this state cannot be kept, where it cannot.
        """
        latest = self._known.setdefault(stream, {})
        known = latest.get(symbol)
        if known is not None and begin_us < known[0]:
            return True, None, None
        if known is None and sum(map(len, self._known.values())) >= most:
            return False, None, _no_room(f"the latest states of {most} symbols are kept already")
        last = known[1] if known is not None else None
        if last is not None:
            self._release(last)
        kept = self._hold(arrival)
        latest[symbol] = (begin_us, arrival if kept else None)
        over = last if known is not None and known[0] < begin_us else None
        unkept = None if kept else _no_room(f"the latest states would take more than {self._most_bytes} bytes")
        return False, over, unkept

    def forget(self, stream: str, symbol: str) -> None:
        """What comes of a symbol next is as on a new connection."""
        known = self._known.get(stream, {}).pop(symbol, None)
        if known is not None and known[1] is not None:
            self._release(known[1])

    def _hold(self, arrival: Arrival) -> bool:
        """Counts what a state is kept with; False where that is too much."""
        frame, message = arrival.frame, arrival.message
        new = {}
        if id(frame) not in self._held:
            new[id(frame)] = len(frame)
        if id(message) not in self._held:
            most = self._most_bytes // _VALUE
            new[id(message)] = _VALUE * exactjson.count(message, most)
        if self.bytes + sum(new.values()) > self._most_bytes:
            return False
        for key in (id(frame), id(message)):
            states, size = self._held.get(key, (0, new.get(key, 0)))
            self._held[key] = (states + 1, size)
        self.bytes += sum(new.values())
        return True

    def _release(self, arrival: Arrival) -> None:
        for key in (id(arrival.frame), id(arrival.message)):
            states, size = self._held.pop(key)
            if states > 1:
                self._held[key] = (states - 1, size)
            else:
                self.bytes -= size


def latest_states(state: dict[str, Any]) -> LatestStates:
    """Those of the connection whose ``state`` it is."""
    found: LatestStates | None = state.get(STATES)
    if found is None:
        found = state[STATES] = LatestStates(MOST_BYTES)
    return found


def _no_room(detail: str) -> RecordError:
    return RecordError("frame", None, None, "no-room", detail)
