"""The last minute: which share of a connector's messages and records went wrong, so that bad data is not only counted.

Pure: whoever looks says the time. Memory is bounded: a sample for every few seconds of the last minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from k2conn.engine.accounting.figures import AccountFigures
from k2conn.engine.accounting.ledger import NOWHERE, Ledger

SPAN = 60.0
EVERY = 5.0
"""Seconds between two samples."""
FEWEST = 3
"""Bad ones below which there is no share worth a word: one bad record in a quiet hour is all of them."""
STUCK = 20.0
"""Seconds in which records come, and none becomes durable, after which that is said."""


class StreamSample(NamedTuple):
    """Counts of one stream that only grow, at a moment."""

    good: int
    """Published, or repeats of what was."""
    dead: int
    received: int


class Sample(NamedTuple):
    """Counts of a connector at a moment."""

    at: float
    frames: int
    bad: int
    """Messages that no rule knows, and frames that are no message."""
    streams: dict[str, StreamSample]


class DataFinding(NamedTuple):
    """What is wrong with the data of the last minute; ``stops``: nothing of the stream can be published."""

    text: str
    stops: bool


class RecentFigures:
    """Looks after one connector's ledger. ``share``: above it, bad ones are too many."""

    def __init__(self, ledger: Ledger, streams: tuple[str, ...], share: float, now: float) -> None:
        self._ledger = ledger
        self._streams = streams
        self._share = share
        self._samples: deque[Sample] = deque((self._sample(now),))

    def look(self, now: float) -> None:
        """Takes a sample, where one is due."""
        if now < self._samples[-1].at + EVERY:
            return
        self._samples.append(self._sample(now))
        while len(self._samples) > 1 and self._samples[1].at <= now - SPAN:
            self._samples.popleft()

    def _sample(self, now: float, totals: Mapping[str, AccountFigures] | None = None) -> Sample:
        ledger = self._ledger
        totals = ledger.by_stream() if totals is None else totals
        streams = {}
        for name in self._streams:
            one = totals.get(name)
            if one is not None:
                good = one["published"] + one["duplicates"]
                streams[name] = StreamSample(good, one["dead_letters"], one["received"])
        return Sample(now, ledger.frames, ledger.unrecognised + ledger.malformed, streams)

    def ratios(self, now: float, totals: Mapping[str, AccountFigures] | None = None) -> dict[str, float]:
        """The share of dead letters among a stream's records; of the stream `NOWHERE`, that of messages which no rule
        knows, or which are none. ``totals``: `Ledger.by_stream`, where the caller has it.
        """
        before, after = self._samples[0], self._sample(now, totals)
        found = {name: _share(*_bad(before, after, name)) for name in self._streams}
        found[NOWHERE] = _share(after.bad - before.bad, after.frames - before.frames)
        return found

    def findings(self, now: float, totals: Mapping[str, AccountFigures] | None = None) -> list[DataFinding]:
        """What is wrong, for people. ``totals``: `Ledger.by_stream`, where the caller has it."""
        before, after = self._samples[0], self._sample(now, totals)
        found: list[DataFinding] = []
        bad, frames = after.bad - before.bad, after.frames - before.frames
        if bad >= FEWEST and _share(bad, frames) > self._share:
            found.append(DataFinding(f"{bad} of {max(bad, frames)} messages unknown or malformed", False))
        for name in self._streams:
            dead, all_of_them = _bad(before, after, name)
            if dead >= FEWEST and dead == all_of_them:
                found.append(DataFinding(f"{name}: all {dead} records are dead letters", True))
            elif dead >= FEWEST and _share(dead, all_of_them) > self._share:
                found.append(DataFinding(f"{name}: {dead} of {all_of_them} records are dead letters", False))
            elif self._stuck(name, after):
                found.append(DataFinding(f"{name}: records come, and none becomes durable", False))
        return found

    def _stuck(self, name: str, after: Sample) -> bool:
        """Whether records came some time ago, and since then nothing was settled."""
        then = next((one for one in reversed(self._samples) if one.at <= after.at - STUCK), None)
        if then is None or name not in then.streams:
            return False
        one, now = then.streams[name], after.streams[name]
        return one.received > one.good + one.dead and one.good == now.good and one.dead == now.dead


_NOTHING = StreamSample(0, 0, 0)


def _bad(before: Sample, after: Sample, stream: str) -> tuple[int, int]:
    """Dead letters, and all records that were settled between two samples."""
    one, other = before.streams.get(stream, _NOTHING), after.streams.get(stream, _NOTHING)
    dead = other.dead - one.dead
    return dead, dead + other.good - one.good


def _share(bad: int, all_of_them: int) -> float:
    if all_of_them > 0:
        return min(1.0, bad / all_of_them)
    return 1.0 if bad > 0 else 0.0
