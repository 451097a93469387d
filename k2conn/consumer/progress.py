"""Progress: how far one partition is while this process has it. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from k2conn.consumer.accounts import TopicAccount
from k2conn.sinks.positions import SourcePartition


class PartitionProgress:
    """One partition, from when it was assigned until it is revoked.

    Offsets go through it in order: ``read`` (the next one to come from Kafka), in flight, confirmed. ``position`` is
    the first that is not confirmed, or ``read``: what is committed.
    """

    def __init__(self, partition: SourcePartition, start: int, account: TopicAccount) -> None:
        self.partition = partition
        self.account = account
        self.read = start
        self.committed = start
        self.end = start
        """Where the partition ends, as last heard."""
        self.backlog: Sequence[Any] = ()
        """Messages that were read and not decoded yet: the first one's schema is not known."""
        self.revoked = False
        self.confirmed_ms = 0
        """Kafka's time of the latest record that was confirmed."""
        self._in_flight: deque[int] = deque()
        self._early: set[int] = set()
        """Confirmed before one that is in front of them."""

    @property
    def position(self) -> int:
        """What can be committed."""
        return self._in_flight[0] if self._in_flight else self.read

    @property
    def lag(self) -> int:
        """Records that are in Kafka and not durable in the sink."""
        return max(0, self.end - self.position)

    @property
    def in_flight(self) -> int:
        """Records that were read and are not confirmed."""
        return len(self._in_flight) - len(self._early)

    def take(self, offset: int) -> None:
        """A record has come."""
        self._in_flight.append(offset)
        self.read = offset + 1
        self.account.consumed += 1
        self.account.in_flight += 1

    def confirm(self, offset: int, timestamp_ms: int, dead: bool) -> None:
        """A record is durable, or its dead letter is."""
        if self.revoked:
            return
        if dead:
            self.account.dead_letters += 1
        else:
            self.account.written += 1
        self.confirmed_ms = timestamp_ms
        self._leave(offset)

    def lose(self, offset: int) -> None:
        """Nothing can be done for a record any more."""
        if not self.revoked:
            self.account.lost += 1
            self._leave(offset)

    def revoke(self) -> None:
        """The partition is another process's from now on, and so are the records that are not confirmed."""
        self.revoked = True
        self.account.released += self.in_flight
        self.account.in_flight -= self.in_flight
        self.backlog = ()

    def _leave(self, offset: int) -> None:
        self.account.in_flight -= 1
        waiting, early = self._in_flight, self._early
        if waiting[0] != offset:
            early.add(offset)
            return
        waiting.popleft()
        while early and waiting[0] in early:
            early.remove(waiting.popleft())


class RecordAccount:
    """The account of one record: a `PositionedAccount`."""

    __slots__ = ("offset", "progress")

    stream = symbol = "-"

    def __init__(self, progress: PartitionProgress, offset: int) -> None:
        self.progress = progress
        self.offset = offset

    @property
    def partition(self) -> SourcePartition:
        """Where it came from."""
        return self.progress.partition

    @property
    def spooled(self) -> int:
        """None of them ever is."""
        return 0

    @spooled.setter
    def spooled(self, count: int) -> None:
        """See above."""

    @property
    def lost(self) -> int:
        """What a sink gives up at its end is not lost: it is not committed, and so is read again."""
        return 0

    @lost.setter
    def lost(self, count: int) -> None:
        """See above."""

    def settled(self, dead: bool, count: int = 1) -> None:
        """See `DeliveryAccount`."""
        self.progress.confirm(self.offset, 0, dead)
