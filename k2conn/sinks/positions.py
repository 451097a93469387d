"""Positions: how far a sink is in the topics that its records come from, kept by the sink itself.

A Kafka consumer commits offsets after the sink has confirmed, so after a crash some records come again. A sink that
knows its records by a key (`postgres`) does not mind. One that only appends (`iceberg`) would have them twice, so it
stores in the same commit as the rows where they came from, and looks for those that an earlier commit may have had::

    stored = ...                                       # what its last commit says
    again = [one for one in batch if suspected(one, stored)]
    commit(rows of the others, and of those in ``again`` that are not there, positions_of(batch))

A record before a stored position is looked for rather than left out unseen: a topic that was made anew counts from 0
again, and what a sink has refused may come once more. A sink that stores positions has a method ``positions``, and so
is a `StoresPositions`; a `BatchingSink` is one when its writer is. Where several lanes (tables) are written side by
side, each has positions of its own: within a lane, the records of a partition are in the order of their offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from k2conn.envelope import DeliveryAccount, Envelope


class SourcePartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"


class PositionedAccount(DeliveryAccount, Protocol):
    """The account of an envelope that came from a topic."""

    @property
    def partition(self) -> SourcePartition:
        """Where it came from."""

    offset: int


Positions = Mapping[SourcePartition, int]
"""The offset behind the last record that is stored."""


@runtime_checkable
class StoresPositions(Protocol):
    """A sink, or the writer of a `BatchingSink`, that stores positions."""

    async def positions(self, group: str) -> Positions:
        """How far the sink is in each partition: the furthest of its lanes. From now on it stores positions, under the
        name of this consumer group. Unreachable or SinkError.
        """


def positions_of(envelopes: Iterable[Envelope]) -> dict[SourcePartition, int]:
    """Behind the furthest of some envelopes in each partition; those that came from no topic say nothing. Dead letters
    need not be in order.
    """
    found: dict[SourcePartition, int] = {}
    for envelope in envelopes:
        if (offset := _offset(envelope)) is not None:
            partition: SourcePartition = envelope.account.partition  # type: ignore[union-attr] # it says where it is from
            found[partition] = max(offset + 1, found.get(partition, 0))
    return found


def suspected(envelope: Envelope, stored: Positions) -> bool:
    """Whether a record may be stored already."""
    offset = _offset(envelope)
    return offset is not None and offset < stored.get(envelope.account.partition, 0)  # type: ignore[union-attr] # as above


def _offset(envelope: Envelope) -> int | None:
    return getattr(envelope.account, "offset", None)
