"""The frames of a connection at work, a turn at a time: a frame may take long, and the event loop is everybody's.

What a turn gave is handed on before the next one begins, so that a frame of very many items never puts more into the
sink than the sink's bound and one part of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from k2conn.clock import monotonic, wall_us
from k2conn.engine.conversation.actions import Action
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping.slices import Abandoned, Slices
from k2conn.envelope import Envelope
from k2conn.runner.loop_share import SMALL, LoopShare

TURN = 0.02
"""Seconds of work after which all others of the process get their turn: of a connection since its last one, and of all
connections together in a turn of the event loop.
"""
LONGEST = 5.0
"""Seconds of work for what was received at once; then the rest of a long frame is given up."""
LARGE = 1024 * 1024
"""Characters or bytes of a frame behind which there is a turn in any case: much of its work was done elsewhere."""

AT_THE_END = 0.5
"""Seconds of work for what still comes once a connection is being closed: nobody can be asked to wait then."""

Deliver = Callable[[list[Envelope], Sequence[Action]], bool]
"""Hands on what frames gave; true where the sink is crowded."""
Watch = Callable[[Sequence[str | bytes], float, int], None]
"""Is told of the frames of a read, before they are mapped, and of their receipt by both clocks."""


class FrameTurns:
    """Those of one connection. Where a method answers true nothing more is to be read: see `crowded` and `unfinished`.

    ``share``: what it may take of a turn of the event loop beside all others; None where it has the loop for itself.
    """

    def __init__(
        self, pipeline: FramePipeline, deliver: Deliver, watch: Watch | None = None, share: LoopShare | None = None
    ) -> None:
        self._pipeline = pipeline
        self._deliver = deliver
        self._watch = watch
        self._share = share
        self._work: Slices | None = None
        self._behind: deque[Sequence[str | bytes]] = deque()
        """Received while a frame was not finished, by a transport that cannot wait."""
        self._envelopes: list[Envelope] = []
        self._actions: list[Action] = []
        self._spent = 0.0
        """Seconds of work since the last turn."""
        self._left = 0.0
        """Seconds of work that the current read has left."""
        self._end: float | None = None
        """Seconds of work that are left because the connection is being closed; None while it is not."""
        self.ignored = 0
        """Frames that were not looked at for that."""
        self.crowded = False
        """Whether the sink is to be waited for."""

    @property
    def unfinished(self) -> bool:
        """Whether frames wait for the next turn."""
        return self._work is not None or bool(self._behind)

    def receive(self, frames: Sequence[str | bytes], wall: int | None = None) -> bool:
        """Takes the frames of one read, received at ``wall`` (microseconds since the epoch; None: now)."""
        if self._end is not None and self._end <= 0:
            self.ignored += len(frames)
            return False
        share = self._share
        if self._work is not None or self._behind or (share is not None and share.used_up and self._end is None):
            self._behind.append(frames)
            return True
        began = monotonic()
        if self._begin(frames, began, wall):
            return self._over(began)
        waits = self._go_on(began)
        return waits or (len(frames) == 1 and len(frames[0]) >= LARGE)

    def go_on(self) -> bool:
        """Another turn."""
        began = monotonic()
        if self._work is None and self._behind and self._begin(self._behind.popleft(), began):
            return self._over(began) or self.unfinished
        return self._go_on(began) or self.unfinished

    def give_up(self) -> int:
        """The connection is at its end: what is begun is finished, but for the rest of a long frame, which is counted
        in one dead letter; what waits behind it has `AT_THE_END`. How many frames were not looked at.
        """
        reason, end = "the connection ended", monotonic() + (AT_THE_END if self._end is None else self._end)
        self._finish(reason, monotonic())
        while self._behind and monotonic() < end:
            began = monotonic()
            if self._begin(self._behind.popleft(), began):
                self._over(began)
            self._finish(reason, end)
        left = self.ignored + sum(map(len, self._behind))
        self._behind.clear()
        self.ignored = 0
        return left

    def _finish(self, reason: str, end: float) -> None:
        """All of the current read, but for the rest of a frame that is not finished when the time is over."""
        while self._work is not None:
            self._step(reason if monotonic() >= end else "")

    def closing(self) -> None:
        """The connection is being closed, which takes a moment, in which more may come."""
        self._end = AT_THE_END if self._end is None else self._end

    def _begin(self, frames: Sequence[str | bytes], now: float, wall: int | None = None) -> bool:
        """Begins with the frames of a read; whether that was all, but for what is to be delivered."""
        self._envelopes, self._actions, self._left = [], [], LONGEST
        if wall is None:
            wall = wall_us()
        if self._watch is not None and frames:
            self._watch(frames, now, wall)
        taken = self._pipeline.begin(frames, now, wall, self._envelopes)
        if frames and taken[0] == len(frames):
            return True
        self._work = self._pipeline.work(frames, now, wall, self._envelopes, self._actions, taken)
        return False

    def _over(self, began: float) -> bool:
        """A read was done with in one go, and is delivered; true where nothing more is to be read for now."""
        self.crowded = self._deliver(self._envelopes, ())
        spent = monotonic() - began
        self._spent += spent
        if self._end is not None:
            self._end -= spent
        if self._share is not None and spent >= SMALL:
            self._share.spend(spent)
        if not self.crowded and self._spent <= TURN:
            return False
        self._spent = 0.0
        return True

    def _go_on(self, began: float) -> bool:
        waits = self._work_on(began)
        if self._share is not None:
            self._share.spend(monotonic() - began)
        return waits

    def _work_on(self, began: float) -> bool:
        while self._work is not None:
            self.crowded = self._step(f"its items take longer than {LONGEST:g} s" if self._left <= 0 else "")
            spent = monotonic() - began
            if self.crowded or self._spent + spent > TURN:
                self._spent = 0.0
                self._left -= min(spent, 2 * TURN)  # a machine that stood still is no work
                if self._end is not None:
                    self._end -= spent
                return True
        spent = monotonic() - began
        self._spent += spent
        if self._end is not None:
            self._end -= spent
        if self._spent > TURN:
            self._spent = 0.0
            return True
        return self.crowded

    def _step(self, give_up: str) -> bool:
        """A part of a frame, or all frames up to one that is not finished; true where the sink is crowded."""
        work = self._work
        assert work is not None
        try:
            if give_up:
                work.throw(Abandoned(give_up))
            else:
                next(work)
        except StopIteration:
            self._work = None
            return self._deliver(self._envelopes, self._actions)
        except Exception:  # a bug, which ends the connector; what came with it is published first
            self._work = None
            self._deliver(self._envelopes, ())
            raise
        envelopes, actions = self._envelopes.copy(), self._actions.copy()
        self._envelopes.clear()
        self._actions.clear()
        return self._deliver(envelopes, actions)
