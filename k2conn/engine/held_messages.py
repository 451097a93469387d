"""Messages that are received and not mapped yet, because another process still has the state that they go on with.

A connector that is to go on where another process ends subscribes first, so that nothing is missed in between. What
comes is kept as it was decoded; once the other's state is taken in, it is mapped in the order in which it came, and
ids and numbers say what of it the other one has published already.

Pure: no clock, no connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from k2conn.engine.accounting.frame_letters import finish_letters
from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.mapping.slices import Slices
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.envelope import Envelope
from k2conn.plan import Stream
from k2conn.scope import Scope

ENOUGH = 4 * 1024 * 1024
"""Characters or bytes of frames behind which nobody should be waited for any more."""
MOST = 32 * 1024 * 1024
"""Of what is held; what comes behind that is discarded, and missing like what was never read."""
PART = 64 * 1024
"""Of it, for one turn of the event loop, which is everybody's."""

Refuse = Callable[[Exception, str | bytes, int, list[Envelope]], None]
"""Makes a dead letter of a frame that met a bug, with the time of its receipt."""


class HeldMessages:
    """Those of one connector, while it waits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: deque[tuple[StreamMapping, Refuse, Any, str | bytes, Scope, int]] = deque()
        self._released: list[Callable[[], None]] = []
        self._mappings: dict[StreamMapping, None] = {}
        self._size = 0
        self._most = MOST
        self._last: str | bytes | None = None
        self._keeps = True
        """Whether the last frame had room."""
        self.waiting = True
        self.bug: Exception | None = None
        """The first one that a message met when it was released."""

    @property
    def any(self) -> bool:
        """Whether anything came."""
        return bool(self._held)

    @property
    def enough(self) -> bool:
        """Whether nobody should be waited for any more."""
        return self._size > ENOUGH

    def stand_in(
        self, mappings: Sequence[StreamMapping], refuse: Refuse, released: Callable[[], None]
    ) -> tuple[HeldMapping, ...]:
        """What takes the messages of streams in the place of their mappings, until ``released`` is called."""
        held = tuple(HeldMapping(mapping, self, refuse) for mapping in mappings)
        self._released += [*(one.go_on for one in held), released]
        self._mappings |= dict.fromkeys(mappings)
        return held

    def hold(
        self, mapping: StreamMapping, refuse: Refuse, message: Any, frame: str | bytes, scope: Scope
    ) -> None:
        """Keeps a message. A frame that has several of them is kept, or discarded, as a whole."""
        if frame is not self._last:
            self._last, self._keeps = frame, self._size + len(frame) <= self._most
            if self._keeps:
                self._size += len(frame)
            else:
                self._ledger.discarded += 1
        if self._keeps:
            self._held.append((mapping, refuse, message, frame, scope, scope.received_at))

    def in_turns(self) -> Iterator[list[Envelope]]:
        """Maps all that is held, in order, some of it at a time; what comes meanwhile is held behind it. With the last
        of it messages are mapped as they come, so what is yielded is to be handed on at once. A message that meets a
        `bug` costs the others nothing, and its frame is a dead letter.
        """
        for mapping in self._mappings:
            mapping.meet_held()
        while self._held:
            out: list[Envelope] = []
            done = 0
            while self._held and done < PART:
                frame = self._held[0][3]
                self._map(*self._held.popleft(), out)
                if not self._held or self._held[0][3] is not frame:  # its last message: it was counted once
                    done += len(frame)
            self._size -= done
            if not self._held:
                self._go_on()
            yield out
        if self.waiting:
            self._go_on()

    def give_up(self) -> None:
        """What is still held is discarded, and whatever comes."""
        self._ledger.discarded += len({id(frame) for _, _, _, frame, _, _ in self._held})
        self._held.clear()
        self._most = -1

    def _map(self, mapping: StreamMapping, refuse: Refuse, message: Any, frame: str | bytes, scope: Scope,
             received_at: int, out: list[Envelope]) -> None:
        now, scope.received_at = scope.received_at, received_at
        try:
            for _ in mapping.take(message, frame, scope, out) or ():
                pass
        except Exception as caught:
            self.bug = self.bug or caught
            refuse(caught, frame, received_at, out)
        if scope.letters is not None:
            finish_letters(scope, out)
        scope.received_at = now

    def _go_on(self) -> None:
        self.waiting = False
        for mapping in self._mappings:
            mapping.caught_up()
        for go_on in self._released:
            go_on()
        self._released, self._mappings, self._last = [], {}, None


class HeldMapping:
    """What a pipeline has in the place of a stream's mapping: it keeps the messages, and once they are released, the
    mapping's own `take` is called without a detour.
    """

    def __init__(self, mapping: StreamMapping, held: HeldMessages, refuse: Refuse) -> None:
        self._mapping = mapping
        self._held = held
        self._refuse = refuse
        self.take: Callable[[Any, str | bytes, Scope, list[Envelope], int], Slices | None] = self._hold

    @property
    def stream(self) -> Stream:
        """The stream."""
        return self._mapping.stream

    @property
    def window(self) -> DedupWindow:
        """The mapping's."""
        return self._mapping.window

    def go_on(self) -> None:
        """Nothing is held any more."""
        self.take = self._mapping.take

    def _hold(self, message: Any, frame: str | bytes, scope: Scope, out: list[Envelope], done: int = 0) -> None:
        self._held.hold(self._mapping, self._refuse, message, frame, scope)
