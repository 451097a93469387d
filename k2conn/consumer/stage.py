"""A stage: what is made of the records of topics, instead of handing them on as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from k2conn.consumer.decoding import Decoded
from k2conn.consumer.progress import PartitionProgress
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import RecordError
from k2conn.sinks.positions import SourcePartition


class Place(NamedTuple):
    """What a group commits of a partition: the offset to begin at, and a note of the stage's, if any."""

    offset: int
    note: str = ""


class Stage(Protocol):
    """Fed with the records of all partitions that this process has; it may know something of each. ``record`` is the
    type of the records it takes, in whatever revision: others are dead letters.
    """

    record: str

    @property
    def amendments(self) -> int:
        """Records about other records (corrections, and what takes them back) that it has left out."""

    def assigned(self, partition: SourcePartition, start: Place) -> None:
        """The partition is this process's from there on, whatever was known of it."""

    def revoked(self, partition: SourcePartition) -> None:
        """It is another process's."""

    def take(
        self, partition: SourcePartition, found: Sequence[Decoded], end: int, account: DeliveryAccount
    ) -> list[Envelope]:
        """What follows from some records, in order: envelopes with this account. ``end`` is the offset behind all that
        was read with them.
        """

    def rejected(self, envelope: Envelope, reason: str, words: str) -> Envelope:
        """The dead letter of one of its envelopes that the sink can never take; with its account."""

    def place(self, partition: SourcePartition, position: int) -> Place:
        """What to commit where all that follows from the records before ``position`` is durable."""


class StepAccount:
    """The account of all that followed from some records of one partition: these are done when all of that is durable.
    """

    stream = symbol = "-"
    spooled = lost = 0

    def __init__(self, progress: PartitionProgress, found: Sequence[Decoded], dead: Collection[int]) -> None:
        """``dead``: the offsets of those that are no records of the stage's."""
        self._progress = progress
        self._offsets = [(one.message.offset, one.message.timestamp) for one in found]
        self._dead = dead
        self._lost = 0
        self.waiting = 0
        """Envelopes that are not durable."""

    def settled(self, dead: bool, count: int = 1) -> None:
        """Some more are durable."""
        self.waiting -= count
        if not self.waiting:
            self.confirm()

    def lose(self) -> None:
        """One is lost: nothing can be done for it."""
        self._lost += 1
        self.settled(True)

    def confirm(self) -> None:
        """The records are done, whatever followed from them."""
        for at, (offset, timestamp_ms) in enumerate(self._offsets):
            if at < self._lost:
                self._progress.lose(offset)
            else:
                self._progress.confirm(offset, timestamp_ms, offset in self._dead)


def sorted_for(stage: Stage, found: Sequence[Decoded]) -> tuple[list[Decoded], list[Decoded]]:
    """Records that a stage takes, and those that it does not, as ones that could not be decoded."""
    taken: list[Decoded] = []
    others: list[Decoded] = []
    for one in found:
        if isinstance(one.body, RecordError):
            others.append(one)
        elif one.schema is not None and one.schema.name == stage.record:
            taken.append(one)
        else:
            name = one.schema.name if one.schema is not None else "record"
            error = RecordError(None, None, None, "bad-type", f"a {name} is not what is read here")
            others.append(one._replace(body=error))
    return taken, others
