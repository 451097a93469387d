"""Replicas: several connections with the same subscriptions, and what each of them missed.

The replicas of one shard deliver the same records; the shared dedup window lets the first copy through. Of every record
it is kept for a few seconds which replicas delivered it: the first one's copy counts as *first*, each other copy as
*late*, and a replica that has not delivered it when the time is over is *missing* it. A replica is missing nothing
before its first record, because it may not be subscribed yet.
Pure: time comes in as microseconds since the epoch. Memory is bounded: at most MOST records are open at a time.
"""

from __future__ import annotations

from typing import TypedDict

GRACE_US = 10_000_000
"""How late a replica's copy may be."""
MOST = 50_000


class ReplicaFigures(TypedDict):
    """One replica's records: first copies, later copies, and those that it never had."""

    first: int
    late: int
    missing: int


class ReplicaCounts:
    """The counts of one replica, in records."""

    __slots__ = ("first", "late", "missing")

    def __init__(self) -> None:
        self.first = 0
        self.late = 0
        self.missing = 0

    def figures(self) -> ReplicaFigures:
        """As JSON."""
        return {"first": self.first, "late": self.late, "missing": self.missing}


class ReplicaSet:
    """What the replicas of one shard delivered."""

    def __init__(self, count: int) -> None:
        self.tallies = tuple(ReplicaCounts() for _ in range(count))
        self.count = count
        self._all = (1 << count) - 1
        self._joined: list[int | None] = [None] * count
        """When each replica delivered its first record."""
        self._open: dict[str, tuple[int, int]] = {}
        """For each record that some replica has not delivered: those that did, as bits, and when it came first."""

    def replica(self, number: int) -> Replica:
        """Through what one replica's connections report their records."""
        return Replica(self, number)

    def note(self, number: int, identity: str, known: bool, now_us: int) -> None:
        """A record came on a replica; ``known``: some connection delivered it before."""
        bit = 1 << number
        if self._joined[number] is None:
            self._joined[number] = now_us
        found = self._open.get(identity)
        if found is not None:
            if found[0] & bit:
                return
            self.tallies[number].late += 1
            had = found[0] | bit
            if had == self._all:
                del self._open[identity]
            else:
                self._open[identity] = (had, found[1])
        elif not known:
            self.tallies[number].first += 1
            self._open[identity] = (bit, now_us)
            if len(self._open) > MOST:
                self._settle(next(iter(self._open)))

    def expire(self, now_us: int) -> None:
        """Counts what is still missing when the time for it is over."""
        while self._open:
            identity, (_, since) = next(iter(self._open.items()))
            if since + GRACE_US > now_us:
                return
            self._settle(identity)

    def _settle(self, identity: str) -> None:
        had, since = self._open.pop(identity)
        for number, (tally, joined) in enumerate(zip(self.tallies, self._joined, strict=True)):
            if joined is not None and joined <= since and not had & (1 << number):
                tally.missing += 1


class Replica:
    """One replica of a shard, as the dedup window sees it."""

    __slots__ = ("_number", "_replica_set", "last_us", "now_us")

    def __init__(self, replica_set: ReplicaSet, number: int) -> None:
        self._replica_set = replica_set
        self._number = number
        self.now_us = 0
        self.last_us = 0
        """When the latest record came, a repeat or not."""

    def note(self, identity: str, known: bool) -> None:
        """A record came, at ``now_us``."""
        self.last_us = self.now_us
        self._replica_set.note(self._number, identity, known, self.now_us)

    @property
    def tally(self) -> ReplicaCounts:
        """This replica's counts."""
        return self._replica_set.tallies[self._number]
