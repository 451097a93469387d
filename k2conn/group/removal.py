"""Takes a member that is gone out of its group: its slots go to others at once, and not after its session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata  # type: ignore[import-untyped]

from k2conn.clock import monotonic
from k2conn.compat.aiokafka import leave_group
from k2conn.errors import SettingsError, Unreachable
from k2conn.group.beats import LEFT, Beat, RollCall, decoded_beat
from k2conn.group.beats_topic import BeatsTopic
from k2conn.group.member_data import MemberData
from k2conn.group.settings import GroupSettings
from k2conn.group.survey import LISTENS, LOOK
from k2conn.group.topics import kafka_trouble
from k2conn.sinks.kafka.producer import client_options


async def remove(settings: GroupSettings, instance: str) -> None:
    """SettingsError where it is at work, or no member; Unreachable where Kafka cannot be reached."""
    topic = BeatsTopic(settings)
    try:
        await topic.open()
        last = await _last(settings, topic, instance)
        if not await _left_for(settings, instance) and last is None:
            raise SettingsError(f"group {settings.name} has no member {instance}")
        if last is not None:
            await topic.say(replace(last, state=LEFT, owned=frozenset(), carrying=frozenset()).encoded())
    finally:
        await topic.close()


async def _last(settings: GroupSettings, topic: BeatsTopic, instance: str) -> Beat | None:
    """What the instance said last. SettingsError where it is heard now."""
    roll = RollCall(settings.name)
    for data in await topic.before():
        if (beat := decoded_beat(data)) is not None:
            roll.take(beat, 0.0)
    until = monotonic() + LISTENS
    while monotonic() < until:
        for data in await topic.hear(LOOK):
            beat = decoded_beat(data)
            if beat is not None and (beat.group, beat.instance) == (settings.name, instance) and beat.state != LEFT:
                raise SettingsError(
                    f"group {settings.name}: {instance} is at work (pid {beat.pid} on {beat.host}): stop it first"
                )
    return roll.last_of(instance)


async def _left_for(settings: GroupSettings, instance: str) -> bool:
    """Leaves the group in the member's place; False where the group does not know it."""
    admin = AIOKafkaAdminClient(**client_options(settings.kafka))
    try:
        with kafka_trouble(settings, "its members"):
            async with asyncio.timeout(settings.kafka.open_timeout):
                await admin.start()
                found = await _ids(admin, settings.group_id, instance)
                for member in found:
                    error = kafka_errors.for_code(await leave_group(admin, settings.group_id, member))
                    if error not in (kafka_errors.NoError, kafka_errors.UnknownMemberIdError):
                        raise Unreachable(f"kafka: {instance} cannot be taken out of the group: {error.__name__}")
                return bool(found)
    finally:
        await admin.close()


async def _ids(admin: Any, group_id: str, instance: str) -> list[str]:
    """By which ids Kafka knows an instance."""
    found: list[str] = []
    for answer in await admin.describe_consumer_groups([group_id]):
        for group in answer.groups:
            members = group[5]
            for member_id, _, _, metadata, *_ in members:
                try:
                    data = MemberData.decoded(ConsumerProtocolMemberMetadata.decode(bytes(metadata)).user_data or b"")
                except ValueError:
                    continue  # a member of another kind
                if data is not None and data.instance == instance:
                    found.append(str(member_id))
    return found
