"""Partitions of a cluster that get another leader while a group is at work: those that it writes to, or those by which
brokers coordinate its transactions and its members.

No broker is stopped for that: a replica that has everything becomes the first of its partition, and is elected.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from k2conn.clock import monotonic
from k2conn.compat.aiokafka import elect_preferred, order_replicas
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.settings import KafkaSettings

COORDINATION = ("__transaction_state", "__consumer_offsets")
"""The topics whose partitions' leaders are the coordinators of transactions and of consumer groups."""
MOVED_WITHIN = 30.0
LOOK_EVERY = 0.1


class LeaderMoves:
    """``chance`` says which broker gives something away."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str], chance: random.Random) -> None:
        self._kafka = kafka
        self._topics = topics
        self._chance = chance

    async def leaders(self) -> int:
        """One broker gives away what it leads of the group's topics; how many partitions."""
        return await self._move(self._topics)

    async def coordinators(self) -> int:
        """One broker gives away what it coordinates; how many partitions."""
        return await self._move(COORDINATION)

    async def possible(self) -> bool:
        """Whether partitions have replicas that could lead them."""
        admin: Any = AIOKafkaAdminClient(**client_options(self._kafka))
        try:
            await admin.start()
            return len((await admin.describe_cluster())["brokers"]) > 1
        finally:
            await admin.close()

    async def _move(self, topics: Sequence[str]) -> int:
        admin: Any = AIOKafkaAdminClient(**client_options(self._kafka))
        try:
            await admin.start()
            found = await _partitions(admin, topics)
            leaders = sorted({one["leader"] for one in found.values() if one["leader"] >= 0})
            if not leaders:
                return 0
            giver = self._chance.choice(leaders)
            wanted: dict[str, dict[int, list[int]]] = {}
            for (topic, number), one in found.items():
                others = [node for node in one["isr"] if node != giver]
                if one["leader"] == giver and others:
                    taker = self._chance.choice(others)
                    rest = [node for node in one["replicas"] if node != taker]
                    wanted.setdefault(topic, {})[number] = [taker, *rest]
            await self._led(admin, wanted)
            return sum(map(len, wanted.values()))
        finally:
            await admin.close()

    async def _led(self, admin: Any, wanted: dict[str, dict[int, list[int]]]) -> None:
        """Until each partition is led by its first replica. Unreachable where that does not come true."""
        end = monotonic() + MOVED_WITHIN
        refused = await order_replicas(admin, wanted) if wanted else []
        left = wanted
        while left:
            refused += await elect_preferred(admin, left)
            found = await _partitions(admin, list(left))
            left = {
                topic: {number: nodes for number, nodes in partitions.items()
                        if found[topic, number]["leader"] != nodes[0]}
                for topic, partitions in left.items()
            }
            left = {topic: partitions for topic, partitions in left.items() if partitions}
            if left and monotonic() > end:
                raise Unreachable(f"leaders did not move within {MOVED_WITHIN:.0f} s: {'; '.join(refused[-3:])}")
            if left:
                await asyncio.sleep(LOOK_EVERY)


async def _partitions(admin: Any, topics: Sequence[str]) -> dict[tuple[str, int], Any]:
    there = set(topics) & set(await admin.list_topics())
    said = await admin.describe_topics(sorted(there)) if there else []
    return {(one["topic"], each["partition"]): each for one in said for each in one["partitions"]}
