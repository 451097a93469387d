"""Positions: how far a sink is in the topics that its records come from, kept by the sink itself.

A Kafka consumer commits offsets after the sink has confirmed, so after a crash some records come again. A sink that
knows its records by a key (`postgres`) does not mind. One that only appends would have them twice, so it stores in the
same commit as the rows where they came from, and leaves out what an earlier commit had::

    stored = ...                                    # what its last commit says, read in the same transaction
    fresh = not_stored(batch, stored)               # what is in already is settled and not written
    commit(rows(fresh), stored | positions_of(fresh))

Such a sink has a method ``positions``, and so is a `StoresPositions`; a `BatchingSink` is one when its writer is. Where
several lanes (tables) are written side by side, each has positions of its own: within a lane, the records of a
partition are in the order of their offsets. What a writer refuses must be durable as a dead letter before its lane
stores a position behind it, or it is left out when it comes again; a sink that writes it again anyway need not mind.
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
    """Where some envelopes end that are in order; those that came from no topic say nothing."""
    return {
        account.partition: account.offset + 1  # type: ignore[attr-defined] # it says where it came from
        for envelope in envelopes
        if (account := envelope.account) is not None and hasattr(account, "offset")
    }


def not_stored(envelopes: Iterable[Envelope], stored: Positions) -> list[Envelope]:
    """Those that are not stored yet."""
    return [
        envelope for envelope in envelopes
        if (offset := getattr(envelope.account, "offset", None)) is None
        or offset >= stored.get(envelope.account.partition, 0)  # type: ignore[union-attr] # as above
    ]
