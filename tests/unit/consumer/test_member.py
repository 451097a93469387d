"""A member of a consumer group: what it was given may be gone before it knows where to begin."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition

from k2conn.consumer import member as members
from k2conn.consumer.member import GroupMember
from k2conn.consumer.settings import ConsumerSettings
from k2conn.consumer.stage import Place
from k2conn.errors import Unreachable
from k2conn.sinks.positions import SourcePartition

GIVEN = [TopicPartition("t", 0), TopicPartition("t", 1)]


class Client:
    """Stands in for the client; while it is asked, partitions go to others."""

    def __init__(self, kept: frozenset[TopicPartition]) -> None:
        self._kept = kept
        self.sought: dict[TopicPartition, int] = {}

    async def committed(self, one: TopicPartition) -> int:
        return 7 + one.partition

    def assignment(self) -> frozenset[TopicPartition]:
        return self._kept

    async def commit(self, offsets: Any) -> None:
        """As the client does that knows of no coordinator."""
        await asyncio.Event().wait()

    def seek(self, one: TopicPartition, offset: int) -> None:
        assert one in self._kept, "as the client itself insists"
        self.sought[one] = offset


@pytest.mark.parametrize("kept", [GIVEN, GIVEN[1:], []], ids=len)
def test_only_what_is_still_its_own_is_begun(kept: list[TopicPartition]) -> None:
    told: list[Mapping[SourcePartition, Place]] = []

    async def revoked(_: Any) -> None:
        raise AssertionError("nothing was taken from it")

    member = GroupMember(ConsumerSettings(topics=("t",)), told.append, revoked)
    client = member._client = Client(frozenset(kept))
    asyncio.run(member._given(GIVEN))
    assert client.sought == {one: 7 + one.partition for one in kept}
    assert told == [{SourcePartition("t", one.partition): Place(7 + one.partition, "") for one in kept}]
    assert member.joined


def test_who_leaves_begins_nothing() -> None:
    async def revoked(_: Any) -> None:
        raise AssertionError("nothing was taken from it")

    member = GroupMember(ConsumerSettings(topics=("t",)), lambda _: pytest.fail("it is leaving"), revoked)
    asyncio.run(member._given(GIVEN))


def test_a_commit_that_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def revoked(_: Any) -> None:
        raise AssertionError("nothing was taken from it")

    monkeypatch.setattr(members, "COMMIT_WITHIN", 0.01)
    member = GroupMember(ConsumerSettings(topics=("t",)), lambda _: None, revoked)
    member._client = Client(frozenset(GIVEN))
    with pytest.raises(Unreachable, match="offsets were not committed: no answer in 0 s"):
        asyncio.run(member.commit({SourcePartition("t", 0): Place(7)}))
