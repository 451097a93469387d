"""What a member of a group is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import MiB, SinkSettings

SLOTS_TOPIC = "k2conn.slots"
"""Its partitions stand for the slots; it holds nothing. A prefix for topics goes before it."""
BEATS_TOPIC = "k2conn.members"
"""What members say of themselves; one partition, so that all hear it in the same order."""
HEARTBEAT_MS = 1000
SESSION = 10.0
"""Seconds; Kafka's brokers allow 6 to 1800 unless they are told otherwise."""
SHORTEST_SESSION, LONGEST_SESSION = 6.0, 1800.0
REBALANCE_MS = 10_000
LEAST_BUFFER, LEAST_SPOOL = 2 * MiB, 4 * MiB
"""Bytes of a slot, in memory and on the disk."""


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """``instance``: the member's name, the same over restarts. ``share_limits``: whether venues see all members as one,
    so that each keeps to its part of their limits. ``session``: seconds for which a member that is not heard is waited
    for.
    """

    name: str
    instance: str
    kafka: KafkaSettings
    slots: int
    share_limits: bool = True
    session: float = SESSION
    state: str = ""
    """How state belongs to the slots: by which delivery; "" where it is each process's own."""

    @property
    def group_id(self) -> str:
        """The group as Kafka knows it: apart from consumer groups of the same name."""
        return f"k2conn.group.{self.kafka.topic_prefix}{self.name}"

    @property
    def slots_topic(self) -> str:
        """The whole name of the topic whose partitions are the slots."""
        return self.kafka.topic_prefix + SLOTS_TOPIC

    @property
    def beats_topic(self) -> str:
        """The whole name of the topic of what members say."""
        return self.kafka.topic_prefix + BEATS_TOPIC

    def of_slot(self, sink: SinkSettings, slot: int) -> SinkSettings:
        """The sink's settings of one slot, for one time that it is run: the transactions, the part of the state topic,
        the folder of the spool and the bounds are its own.
        """
        kafka: KafkaSettings = sink.options
        own = replace(kafka, slot=slot, incarnation=uuid4().hex, state_topic_made=True)
        spool = replace(
            sink.spool, folder=sink.spool.folder / f"slot-{slot}",
            max_bytes=max(LEAST_SPOOL, sink.spool.max_bytes // self.slots),
        )
        return replace(
            sink, options=own, spool=spool, buffer_bytes=max(LEAST_BUFFER, sink.buffer_bytes // self.slots)
        )
