"""The one place where a running process can be watched: recorders, taps and whatever else looks on are observers.

The runner tells `Observers` what passes: each read of frames, each frame sent, connections as they open and end (or
fail to open), how the conversation on them goes, the answers that were captured, and what was published. With nobody
there, that costs one look at an attribute a read, and nothing a record. An observer must not wait, and must not keep
more than it has bounds for: it is called on the event loop, on the way of the data. One that raises is taken off, with
its traceback in the log; the feed goes on.

What is told is as it was on the wire. Whoever hands it out of the process hides secrets (`k2conn.secret_mask`): what is
sent carries keys.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from k2conn.envelope import Envelope
from k2conn.plan import Symbol

_LOG = logging.getLogger(__name__)


class SessionPlace(NamedTuple):
    """Where something happened: a connector, one of its sockets (a shard's name), and the number of the session, which
    no other connection of the connector has in one process.
    """

    connector: str
    socket: str
    session: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session begins with: the connection (by its name in the connector file), the number of its shard, that
    of its replica (None without replicas), its symbols, and the id that the ids it sends are made of.
    """

    connection: str
    shard: int
    replica: int | None
    symbols: tuple[Symbol, ...]
    seed: str


class Observer:
    """Does nothing; observers override what they want to be told. ``now`` is in seconds of the monotonic clock,
    ``wall`` in microseconds since the epoch: the moment that the records of these frames have as their receipt.
    """

    def begun(self, connector: str, streams: Sequence[str], kept: bool, wall: int) -> None:
        """A connector starts to run, with these streams; ``kept``: it may know what earlier processes have seen."""

    def opened(self, place: SessionPlace, opening: Opening, now: float, wall: int) -> None:
        """A connection is open, and nothing has been sent yet."""

    def received(self, place: SessionPlace, frames: Sequence[str | bytes], now: float, wall: int) -> None:
        """The frames of one read, which are about to be mapped."""

    def sent(self, place: SessionPlace, frame: str | bytes, now: float, wall: int) -> None:
        """A frame is sent."""

    def answered(self, place: SessionPlace, request: int | None, answer: Any, now: float, wall: int) -> None:
        """An HTTP answer was read: that of the ``request``-th call before a connection; None: the venue's instrument
        list.
        """

    def noted(self, place: SessionPlace, kind: str, detail: Mapping[str, Any], now: float, wall: int) -> None:
        """A session says how its conversation goes: ``kind`` is a `k2conn.engine.conversation.actions.NoteKind`."""

    def carried(self, place: SessionPlace, symbols: tuple[Symbol, ...], now: float, wall: int) -> None:
        """An open connection has these symbols from now on."""

    def looked(self, connector: str, wall: int) -> None:
        """The gaps that are due were published; only told where there were any."""

    def ended(self, place: SessionPlace, cause: str, detail: str, now: float, wall: int) -> None:
        """A connection is at its end."""

    def failed(self, connector: str, socket: str, cause: str, detail: str, now: float, wall: int) -> None:
        """A connection could not be opened."""

    def published(self, connector: str, envelopes: Sequence[Envelope]) -> None:
        """Records and dead letters go to the sink."""

    def figures(self) -> dict[str, int]:
        """What it counts, for the metrics."""
        return {}


class Observers:
    """Those of one process. ``watching`` is empty while nobody looks: whoever has something to tell asks that first."""

    __slots__ = ("watching",)

    def __init__(self, *watching: Observer) -> None:
        self.watching: tuple[Observer, ...] = watching

    def add(self, observer: Observer) -> None:
        """From now on it is told."""
        self.watching = (*self.watching, observer)

    def remove(self, observer: Observer) -> None:
        """From now on it is not told any more."""
        self.watching = tuple(one for one in self.watching if one is not observer)

    def tell(self, what: Callable[..., None], *said: Any) -> None:
        """Tells all of them: ``what`` is the method of `Observer`."""
        name = what.__name__
        for one in self.watching:
            try:
                getattr(one, name)(*said)
            except Exception:  # whatever it is, it is the observer's and not the feed's
                _LOG.exception("an observer met a bug and is taken off: %s", type(one).__name__)
                self.remove(one)
