"""How a group does, by what its members say: for who is no member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from k2conn.clock import monotonic
from k2conn.errors import Unreachable
from k2conn.group.beats import EVERY, RELOAD, SILENT, Beat, RollCall, decoded_beat
from k2conn.group.beats_topic import BeatsTopic
from k2conn.group.settings import GroupSettings
from k2conn.group.topics import has_beats_topic

LISTENS = 2 * EVERY
"""Seconds in which every member that is alive is heard."""
LOOK = 0.2


class SurveyedMember(TypedDict):
    """A member, as it says itself. ``load``: the work of its slots, symbols times streams."""

    instance: str
    host: str
    pid: int
    version: str
    owned: int
    carrying: int
    load: int
    unsent: int
    heard_ago: float
    slots: list[int]
    handing_over: list[int]
    """Slots that it has lost, and carries until their new owner does."""


class GroupSurvey(TypedDict):
    """The whole group."""

    name: str
    slots: int
    generation: int
    connectors: list[str]
    members: list[SurveyedMember]
    silent: list[str]
    """Members that were heard before, have not said that they leave, and are not heard any more."""
    without_owner: list[int]
    not_carried: list[int]
    carried_twice: list[int]
    kinds: int
    """1 where all members run the same connectors and slots."""
    symbols: int
    """1 where all members name the same symbols."""


async def survey(settings: GroupSettings, reload: bool = False) -> GroupSurvey:
    """Listens for a moment. ``reload``: tells all members to read their files again. Unreachable where Kafka cannot be
    reached, or there was never a group.
    """
    if not await has_beats_topic(settings):
        raise Unreachable(f"there is no topic {settings.beats_topic}: no member of a group has ever been here")
    topic, roll = BeatsTopic(settings, speaks=reload), RollCall(settings.name)
    try:
        await topic.open()
        _take(roll, await topic.before(), monotonic() - SILENT)
        if reload:
            await topic.say(Beat(settings.name, "", "", RELOAD).encoded())
        until = monotonic() + LISTENS
        while (now := monotonic()) < until:
            _take(roll, await topic.hear(LOOK), now)
        return survey_of(settings.name, roll, now)
    finally:
        await topic.close()


def _take(roll: RollCall, heard: list[bytes], now: float) -> None:
    for data in heard:
        beat = decoded_beat(data)
        if beat is not None and beat.state != RELOAD:
            roll.take(beat, now)


def survey_of(name: str, roll: RollCall, now: float) -> GroupSurvey:
    """What a roll call says of the group."""
    alive, ages = roll.alive(now), roll.ages(now)
    count = max((beat.slots for beat in alive.values()), default=0)
    owned = {slot for beat in alive.values() for slot in beat.owned}
    carried = [slot for beat in alive.values() for slot in beat.carrying]
    return {
        "name": name, "slots": count, "generation": max((beat.generation for beat in alive.values()), default=-1),
        "connectors": sorted({connector for beat in alive.values() for connector in beat.connectors}),
        "members": [_member(beat, ages) for beat in alive.values()],
        "silent": roll.silent(now),
        "without_owner": [slot for slot in range(count) if slot not in owned],
        "not_carried": [slot for slot in range(count) if slot not in carried],
        "carried_twice": sorted({slot for slot in carried if carried.count(slot) > 1}),
        "kinds": len({beat.digest for beat in alive.values()}),
        "symbols": len({beat.symbols for beat in alive.values()}),
    }


def _member(beat: Beat, ages: Mapping[str, float]) -> SurveyedMember:
    return {
        "instance": beat.instance, "host": beat.host, "pid": beat.pid, "version": beat.version,
        "owned": len(beat.owned), "carrying": len(beat.carrying), "load": beat.load, "unsent": beat.unsent,
        "heard_ago": round(ages[beat.instance], 1), "slots": sorted(beat.owned),
        "handing_over": sorted(beat.carrying - beat.owned),
    }
