"""Records that become something else: they are done when all that followed from them is durable, and not before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from k2conn.avro import load_schema
from k2conn.consumer.accounts import TopicAccount
from k2conn.consumer.decoding import Decoded
from k2conn.consumer.progress import PartitionProgress
from k2conn.consumer.stage import Stage, StepAccount, sorted_for
from k2conn.errors import RecordError
from k2conn.sinks.positions import SourcePartition


def found(*offsets: int) -> list[Decoded]:
    return [Decoded(SimpleNamespace(offset=one, timestamp=one * 10), load_schema("trade"), b"") for one in offsets]


def progress(*offsets: int) -> PartitionProgress:
    made = PartitionProgress(SourcePartition("t", 0), offsets[0], TopicAccount())
    for one in offsets:
        made.take(one)
    return made


def test_a_step_is_done_as_a_whole_and_in_its_turn() -> None:
    one = progress(5, 6, 7, 9)
    first, second = StepAccount(one, found(5, 6), {6}), StepAccount(one, found(7, 9), set())
    first.waiting = 2
    second.confirm()
    assert one.position == 5
    first.settled(False)
    assert one.position == 5
    first.settled(True)
    assert one.position == 10
    assert (one.account.written, one.account.dead_letters, one.account.in_flight) == (3, 1, 0)
    assert one.account.balanced


def test_what_is_lost_is_counted_and_holds_nothing_up() -> None:
    one = progress(1, 2)
    step = StepAccount(one, found(1, 2), set())
    step.waiting = 1
    step.lose()
    assert (one.position, one.account.lost, one.account.written) == (3, 1, 1)
    assert one.account.balanced


def test_records_of_another_type_are_told_apart() -> None:
    stage: Any = SimpleNamespace(record="trade")
    unread = RecordError(None, None, 1, "unknown-schema", "")
    mixed = [*found(1), Decoded(None, load_schema("quote"), b""), Decoded(None, None, unread)]
    taken, others = sorted_for(cast(Stage, stage), mixed)
    assert taken == mixed[:1]
    assert [cast(RecordError, one.body).reason for one in others] == ["bad-type", "unknown-schema"]
