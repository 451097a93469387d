"""A member of the Kafka consumer group that shares the slots: the one door to the client's group protocol.

The member is static: Kafka knows it by its instance's name and waits a session for it to come back, so that a restart
moves nothing. The group only proposes: what is given and lost here says what is to run, not what runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor  # type: ignore[import-untyped]
from aiokafka.coordinator.protocol import (  # type: ignore[import-untyped]
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from k2conn.compat.aiokafka import stop_consumer
from k2conn.group.assignor import SlotClaim
from k2conn.group.member_data import GivenSlots, MemberData, given_slots
from k2conn.group.settings import HEARTBEAT_MS, REBALANCE_MS, GroupSettings
from k2conn.group.slots import SlotTable
from k2conn.group.topics import kafka_trouble
from k2conn.sinks.kafka.producer import STOP_WITHIN, client_options

PROTOCOL = "k2conn-slots-1"
"""The assignor's name: members that decide in another way have another one, and are refused by Kafka itself."""
_POLL_MS = 500


class SlotMembership:
    """One member, from `join` to `leave`. ``table`` gives the slots' symbols as they are now; ``claim``: what the
    instance had before, by what it said last.
    """

    def __init__(self, settings: GroupSettings, table: Callable[[], SlotTable], claim: SlotClaim) -> None:
        self._settings = settings
        self._table = table
        self._client: Any = None
        self.claim = claim
        """The slots that the member was given last."""
        self._generation = claim.generation
        self.assignments = 0
        """How often it was given slots."""
        self.refused = ""
        """Why the group does not take it."""
        self.changed = asyncio.Event()
        """Set when slots were given, or the member was refused."""

    async def join(self) -> None:
        """Asks to be a member; `poll` must be called then. Unreachable where the cluster cannot be reached."""
        given = self._settings
        self._client = AIOKafkaConsumer(
            **client_options(given.kafka), group_id=given.group_id, group_instance_id=given.instance,
            session_timeout_ms=int(given.session * 1000), heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            enable_auto_commit=False, auto_offset_reset="latest",
            partition_assignment_strategy=[_SlotAssignor(self)],
        )
        with kafka_trouble(given, "joining"):
            async with asyncio.timeout(given.kafka.open_timeout):
                await self._client.start()
                self._client.subscribe([given.slots_topic], listener=_Listener(self))

    async def poll(self) -> None:
        """Takes part in the group for a moment: who never polls is put out. Unreachable for what may pass."""
        with kafka_trouble(self._settings, "its slots"):
            try:
                await self._client.getmany(timeout_ms=_POLL_MS)
            except kafka_errors.InconsistentGroupProtocolError:
                self.refused = "its members share slots in another way: another version of k2conn, or no k2conn at all"
                self.changed.set()

    async def leave(self) -> None:
        """Closes, within a few seconds. The group waits for the instance to come back until its session is over."""
        client, self._client = self._client, None
        if client is not None:
            await stop_consumer(client, STOP_WITHIN)  # of a broker that is away the session ends by itself

    # -- asked by the client

    def data(self) -> MemberData:
        """What the one that assigns is told."""
        return MemberData.of(self._settings.instance, self._table(), self.claim)

    def assign(self, members: Mapping[str, bytes]) -> dict[str, GivenSlots]:
        """This member is to assign."""
        return given_slots(members, self.data(), self._table().weights)

    def told(self, beside: GivenSlots) -> None:
        """What comes beside the slots, before them."""
        self.refused = beside.refused
        self._generation = beside.generation

    def given(self, slots: Iterable[int]) -> None:
        """The group has given the member these slots; whoever assigned them may have named others than there are."""
        known = range(self._settings.slots)
        self.claim = SlotClaim(frozenset(one for one in slots if one in known), self._generation)
        self.assignments += 1
        self.changed.set()


class _SlotAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Our assignment behind the client's interface, which asks an object as well as a class."""

    name = PROTOCOL

    def __init__(self, member: SlotMembership) -> None:
        self._member = member

    def metadata(self, topics: Iterable[str]) -> Any:
        return ConsumerProtocolMemberMetadata(0, list(topics), self._member.data().encoded())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        topic = self._member._settings.slots_topic
        found = self._member.assign({member: one.user_data or b"" for member, one in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(0, [(topic, list(one.slots))] if one.slots else [], one.encoded())
            for member, one in found.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        self._member.told(GivenSlots.beside(assignment.user_data or b""))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, member: SlotMembership) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing stops for that: what is lost for good is only known by what is given next."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._member.given(one.partition for one in assigned)
