"""Outgoing frames within the venue's rate limit: a sliding window and a pause between frames. Pure: the caller passes
the time.
"""

from __future__ import annotations

from collections import deque

from k2conn.plan import Rate


class Outbox:
    """A queue of frames that knows which may be sent now, and when the next one may."""

    def __init__(self, limit: Rate | None) -> None:
        self._limit = limit
        self._queue: deque[tuple[str | bytes, float, bool]] = deque()
        self.answers = 0
        """Frames of the queue that were put first."""
        self._sent: deque[float] = deque()
        self._free_at = 0.0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, frame: str | bytes, pause: float = 0.0, first: bool = False) -> None:
        """Queues a frame; ``pause`` is the time to wait after it in seconds; ``first`` puts it at the head of the queue
        (for answers).
        """
        if first:
            self._queue.appendleft((frame, pause, True))
            self.answers += 1
        else:
            self._queue.append((frame, pause, False))

    def due(self, now: float) -> list[str | bytes]:
        """The frames that may be sent now."""
        out: list[str | bytes] = []
        while self._queue and self._next(now) <= now:
            frame, pause, first = self._queue.popleft()
            self.answers -= first
            out.append(frame)
            self._free_at = now + pause
            if self._limit is not None:
                self._sent.append(now)
        return out

    def deadline(self, now: float) -> float | None:
        """When the next frame may be sent; None where the queue is empty."""
        return self._next(now) if self._queue else None

    def _next(self, now: float) -> float:
        ready = self._free_at
        if self._limit is not None:
            while self._sent and self._sent[0] <= now - self._limit.seconds:
                self._sent.popleft()
            if len(self._sent) >= self._limit.count:
                ready = max(ready, self._sent[0] + self._limit.seconds)
        return ready

    def clear(self) -> None:
        """Discards all queued frames."""
        self._queue.clear()
        self.answers = 0
