"""A connector's messages, looked at while they pass: a sample of them, within a share of the process's time.

A frame that is looked at is decoded once more, beside the mapping, which knows nothing of it. So nothing that is found
here, and no bug here, touches a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from k2conn.clock import thread_time
from k2conn.drift.detector import Drift, DriftDetector
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Stream
from k2conn.runner.event_log import get_logger
from k2conn.runner.spare_time import SpareTime

SHARE = 0.01
"""The part of a process's time that goes into looking, in the long run."""
PAUSE = 0.05
"""Seconds between two looks, at least, while it is learnt what is usual."""
LEARNING = 1000
"""Looks in which that is learnt."""
LATER = 0.2
"""Seconds between two looks from then on: a look wakes more of the program than a record does, and what has changed is
still told within seconds.
"""
LARGEST = 64 * 1024
"""Characters or bytes of a frame beyond which it is not looked at."""
MESSAGES = 4
"""Messages of a frame that are looked at."""


class DriftWatch:
    """That of one connector: all its connections share what is learnt. ``spare``: the time that it shares with those
    of other connectors; None where there are none.
    """

    def __init__(
        self, connector: str, streams: Sequence[Stream], names: Collection[str], spare: SpareTime | None = None
    ) -> None:
        self.names = set(names)
        """Native names of symbols."""
        self.detector = DriftDetector(streams, self.names)
        self.counts: Counter[tuple[str, str]] = Counter()
        """Changes that were told, by stream and kind of change."""
        self.looks = 0
        """Frames that were looked at."""
        self.spent = 0.0
        """Seconds of work that went into it."""
        self.due_us = 0
        """When the next frame may be looked at, microseconds since the epoch."""
        self._log = get_logger(connector=connector)
        self._failed = False
        self._spare = SpareTime(SHARE) if spare is None else spare
        self._spare.join(self)

    def look(self, pipeline: FramePipeline, frames: Sequence[str | bytes], now_us: int) -> None:
        """Looks at one frame of a read: another one each time, so that none is always left out."""
        frame = frames[self.looks % len(frames)]
        self.looks += 1
        if self._failed or len(frame) > LARGEST:
            return
        began = thread_time()
        try:
            self._look(pipeline, frame)
        except Exception:  # a bug of ours: the looking ends, and the connector, which did not ask for it, goes on
            self._failed = True
            self._log.exception("drift is not looked for any more: a bug")
        spent = thread_time() - began
        self.spent += spent
        pause = PAUSE if self.looks < LEARNING else LATER
        self.due_us = now_us + int(max(pause, self._spare.rest(spent)) * 1_000_000)

    def _look(self, pipeline: FramePipeline, frame: str | bytes) -> None:
        for at, (stream, message, snapshot) in enumerate(pipeline.classify(frame)):
            if at == MESSAGES:
                return
            if stream is None:
                found = self.detector.see_unknown(message)
            else:
                found = self.detector.see(stream.name, message, snapshot)
            for one in found:
                self._tell(one)

    def _tell(self, drift: Drift) -> None:
        self.counts[drift.stream or "-", str(drift.change)] += 1
        said = {name: value for name, value in drift.as_dict().items() if value not in (None, [])}
        self._log.warning("drift", **said)
