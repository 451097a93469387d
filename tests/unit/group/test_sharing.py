"""What a member does with what it hears: its part of the venues' limits, and how it sees the group."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
import pytest

from k2conn.clock import monotonic
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.errors import SettingsError, Unreachable
from k2conn.group.assignor import SlotClaim
from k2conn.group.beats import AT_WORK, RELOAD, Beat
from k2conn.group.member_data import GivenSlots
from k2conn.group.one_runner import OneRunner
from k2conn.group.settings import GroupSettings
from k2conn.group.sharing import GroupSharing
from k2conn.group.slots import spread
from k2conn.group.table_of_jobs import slot_table
from k2conn.group.topics import kafka_trouble
from k2conn.plan import Rate
from k2conn.runner import Job, Runner
from k2conn.settings.group import group_settings
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from tests.support.plans import plan_of
from tests.support.shipped import load

SIX = ("BTC-USD", "ETH-USD", "SOL-USD", "BTC-EUR", "ETH-EUR", "SOL-EUR")


CONNECTION = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, symbol: $symbol}
      for: trade
"""


def job(name: str = "alpha", more: str = "", symbols: tuple[str, ...] = SIX) -> Job:
    return Job(plan_of(CONNECTION + more, name=name), symbols, ("trade",))


def sharing(*jobs: Job, share: bool = True) -> GroupSharing:
    settings = GroupSettings("g", "b", KafkaSettings(), 16, share)
    runner = Runner((), SinkSettings(kind="console"), standing=True)
    return GroupSharing(settings, jobs, lambda: jobs, partial(OneRunner, runner))


def hears(member: GroupSharing, instance: str, *slots: int) -> None:
    own = frozenset(slots)
    beat = Beat("g", instance, instance, AT_WORK, 1, own, own, member.table.digest, 16, symbols="s")
    member._roll.take(beat, monotonic())


def limits_of(member: GroupSharing) -> SharedLimits:
    works = member._works
    assert isinstance(works, OneRunner)
    return works._runner._shared_limits


def divided(member: GroupSharing, connector: str) -> tuple[int, int]:
    share = limits_of(member).share_of(connector)
    return share.place, share.among


def test_limits_are_divided_among_those_that_run_a_connector() -> None:
    member = sharing(job(), job("beta"))
    slots = {name: [slot for slot in range(16) if name in member.table.of(slot)] for name in ("alpha", "beta")}
    mine = slots["alpha"][:1]
    member._membership.claim = replace(member._membership.claim, slots=frozenset(mine))
    member._holding.given(mine)
    member._own = replace(member._own, owned=frozenset(mine), state=AT_WORK)
    only_beta = [slot for slot in slots["beta"] if slot not in slots["alpha"]]
    hears(member, "a", *slots["alpha"][1:2])
    hears(member, "c", *slots["alpha"][2:3])
    hears(member, "d", *only_beta)
    member._divide_limits(monotonic())
    assert divided(member, "alpha") == (1, 3)
    everybody = limits_of(member)._everybody
    assert (everybody.place, everybody.among) == (1, 4)


def test_others_that_ask_to_reload_again_and_again_are_answered_once_at_a_time() -> None:
    asyncio.run(asked_to_reload_often())


async def asked_to_reload_often() -> None:
    reads = []
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def read() -> tuple[Job, ...]:
        reads.append(1)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        return (job(),)

    settings = GroupSettings("g", "b", KafkaSettings(), 16, True)
    runner = Runner((), SinkSettings(kind="console"), standing=True)
    member = GroupSharing(settings, (job(),), read, partial(OneRunner, runner))
    member._own = replace(member._own, state=AT_WORK)
    asks = Beat("g", "", "", RELOAD).encoded()
    before = asyncio.all_tasks()
    member._take(asks, monotonic())
    await begun.wait()
    for _ in range(1000):
        member._take(asks, monotonic())
    assert len(asyncio.all_tasks() - before) == 2
    go_on.set()
    while tasks := asyncio.all_tasks() - before:
        await asyncio.wait(tasks, timeout=10)
    assert len(reads) == 2


def test_who_assigns_gives_no_other_slots_than_there_are() -> None:
    membership = sharing(job())._membership
    membership.told(GivenSlots.beside(b'{"refused":"","generation":3}'))
    membership.given([0, 15, 16, 10**9, -1])
    assert membership.claim == SlotClaim(frozenset({0, 15}), 3)


def test_members_with_addresses_of_their_own_divide_nothing() -> None:
    member = sharing(job(), share=False)
    hears(member, "a", 1, 2, 3)
    member._divide_limits(monotonic())
    assert divided(member, "alpha") == (0, 1)


def test_a_member_sees_slots_without_an_owner_and_symbols_that_nobody_carries() -> None:
    member = sharing(job())
    hears(member, "a", *range(15))
    status = member.status()
    assert (status["without_owner"], status["joined"], status["slots"]) == ([15], False, 16)
    assert [one["instance"] for one in status["members"]] == ["a"]
    assert status["other_symbols"] == ["a"]
    with_symbols = [slot for slot in range(16) if member.table.of(slot)]
    assert status["not_carried"] == [slot for slot in with_symbols if slot == 15]


# -- what falls into slots


def test_a_venue_with_few_connections_is_spread_over_few_slots() -> None:
    few = slot_table([job(more="  limits: {connections: 2}\n")], 64)
    assert sum(bool(few.of(slot)) for slot in range(64)) <= 2
    assert few.digest != slot_table([job()], 64).digest


@pytest.mark.parametrize(
    ("connections", "connect", "most"),
    [(None, Rate(30, 30.0), 60), (5, Rate(30, 30.0), 5), (None, Rate(150, 600.0), 15), (None, Rate(1, 300.0), 1),
     (100, Rate(20, 60.0), 20)],
)
def test_a_connector_spreads_as_far_as_a_minute_of_connecting_allows(
    connections: int | None, connect: Rate, most: int
) -> None:
    assert spread(connections, connect) == most


def test_all_symbols_are_shared_once_the_list_has_named_them_and_a_word_for_all_is_one_subscription() -> None:
    with pytest.raises(SettingsError, match="members read that when they begin"):
        slot_table([job(symbols=("all",))], 64)
    worded = job(symbols=("all",))
    symbols = replace(worded.plan.symbols, all="*")
    table = slot_table([replace(worded, plan=replace(worded.plan, symbols=symbols))], 64)
    assert [table.of(slot) for slot in range(64) if table.of(slot)] == [{worded.plan.name: ("all",)}]


def test_a_shipped_connector_falls_into_slots() -> None:
    plan = load("kraken")
    table = slot_table([Job(plan)], 64)
    assert sorted(table.symbols(range(64))["kraken"]) == sorted(plan.symbols.default)


# -- settings


def test_without_a_name_there_is_no_group() -> None:
    assert group_settings({}, None, SinkSettings(kind="file")) is None


def test_a_flag_goes_before_a_variable_and_the_host_is_the_name() -> None:
    sink = SinkSettings(options=KafkaSettings(topic_prefix="p."))
    found = group_settings({"K2_GROUP": "x", "K2_GROUP_SESSION": "2m", "K2_GROUP_SHARE_LIMITS": "false"}, "y", sink)
    assert found is not None
    assert (found.name, found.session, found.share_limits, found.slots) == ("y", 120.0, False, 64)
    assert (found.group_id, found.slots_topic, found.beats_topic) == (
        "k2conn.group.p.y", "p.k2conn.slots", "p.k2conn.members")
    assert found.instance


def test_where_state_belongs_to_slots_each_has_its_own_of_everything() -> None:
    kafka = KafkaSettings(delivery="exactly-once", request_timeout_ms=60_000, topic_prefix="p.")
    sink = SinkSettings(options=kafka)
    group = group_settings({"K2_GROUP": "a", "K2_GROUP_SLOTS": "8"}, None, sink)
    assert group is not None
    assert group.state == "exactly-once"
    sink = replace(sink, options=group.kafka)
    first, again, other = group.of_slot(sink, 3), group.of_slot(sink, 3), group.of_slot(sink, 4)
    assert (first.options.unit, other.options.unit) == ("k2conn.group.p.a-3", "k2conn.group.p.a-4")
    assert (first.options.state_topic, first.options.state_partitions) == ("k2conn.state.a", 8)
    assert first.options.incarnation != again.options.incarnation
    assert first.spool.folder == again.spool.folder != other.spool.folder
    assert 8 * first.spool.max_bytes <= sink.spool.max_bytes


def test_members_that_deliver_in_other_ways_are_of_other_kinds() -> None:
    kinds = {slot_table((job(),), 16, state).digest for state in ("", "kafka", "exactly-once")}
    assert len(kinds) == 3


def test_all_that_is_wrong_is_said_at_once() -> None:
    sink = SinkSettings(options=KafkaSettings())
    said = {"K2_GROUP": "a b", "K2_GROUP_INSTANCE_ID": "/", "K2_GROUP_SLOTS": "5000", "K2_GROUP_SESSION": "1s"}
    with pytest.raises(SettingsError) as error:
        group_settings(said, None, sink)
    assert [name for name in said if name in str(error.value)] == list(said)
    with pytest.raises(SettingsError, match="it needs the kafka sink"):
        group_settings({"K2_GROUP": "a"}, None, SinkSettings(kind="file"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (kafka_errors.GroupAuthorizationFailedError("g"), "the right READ on the group is missing"),
        (kafka_errors.TopicAuthorizationFailedError("t"), "READ, WRITE and DESCRIBE on the topics is missing"),
        (kafka_errors.ClusterAuthorizationFailedError(), "the right CREATE on the cluster is missing"),
        (TimeoutError(), "no answer in 10 s"), (OSError("gone"), "gone"),
    ],
)
def test_what_kafka_refuses_is_said_with_the_right_that_is_missing(error: Exception, said: str) -> None:
    settings = GroupSettings("market", "b", KafkaSettings(), 16)
    with pytest.raises(Unreachable) as found, kafka_trouble(settings, "its slots"):
        raise error
    assert said in str(found.value)
    assert "group market" in str(found.value)
