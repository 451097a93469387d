"""Frames in turns: a long frame waits for the sink and for others, and is in the books whatever ends its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping.slices import MOST_ITEMS
from k2conn.envelope import Envelope
from k2conn.runner import frame_turns
from k2conn.runner.frame_turns import FrameTurns
from k2conn.runner.loop_share import LoopShare
from tests.support.plans import intake_of, plan_of, trade, trades

ITEMS = 5000
LONG = trades(*map(trade, range(ITEMS)))
BAD = '{"ch":"trade","data":[' + ",".join(["0"] * MOST_ITEMS) + "]}"


class Sink:
    """Takes what comes, and is crowded where it has more than a bound; `drain` makes room."""

    def __init__(self, bound: int = 10**9) -> None:
        self.bound = bound
        self.waiting = 0
        self.most = 0
        self.all: list[Envelope] = []

    def deliver(self, envelopes: list[Envelope], actions: Sequence[Any]) -> bool:
        self.all += envelopes
        self.waiting += len(envelopes)
        self.most = max(self.most, self.waiting)
        return self.waiting > self.bound

    def drain(self) -> None:
        self.waiting = 0


@pytest.fixture
def pipeline() -> FramePipeline:
    return intake_of(plan_of())


def finish(turns: FrameTurns, sink: Sink) -> int:
    """Goes on until all is done; in how many turns."""
    count = 0
    while turns.unfinished:
        sink.drain()
        turns.go_on()
        count += 1
    return count


def settled(pipeline: FramePipeline, sink: Sink) -> dict[str, Any]:
    for one in sink.all:
        assert one.account is not None
        one.account.settled(one.dead)
    return {**pipeline.connector_state.ledger.totals()}


@pytest.mark.parametrize("bound", [0, 10, 1000])
def test_a_frame_puts_no_more_into_the_sink_than_its_bound_and_a_part(
    pipeline: FramePipeline, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_turns, "TURN", 60.0)  # only the sink ends a turn
    sink = Sink(bound)
    turns = FrameTurns(pipeline, sink.deliver)
    assert turns.receive([LONG, trades(trade(ITEMS))])
    assert turns.crowded
    assert turns.receive([trades(trade(ITEMS + 1))])  # a transport that cannot wait
    finish(turns, sink)
    assert sink.most <= bound + 101
    assert settled(pipeline, sink)["published"] == ITEMS + 2
    numbers = [one.schema.decode_plain(one.value)["trade_id"] for one in sink.all if one.schema]
    assert numbers == [f"VENUE-{number}" for number in range(ITEMS + 2)]


def test_others_have_their_turn(pipeline: FramePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_turns, "TURN", 0.0)
    sink = Sink()
    turns = FrameTurns(pipeline, sink.deliver)
    assert turns.receive([LONG])
    assert len(sink.all) <= 100
    assert finish(turns, sink) >= ITEMS // 100 - 1
    assert len(sink.all) == ITEMS


def test_many_short_reads_are_a_turn_together(pipeline: FramePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(frame_turns, "monotonic", lambda: next(clock) * 0.004)
    turns = FrameTurns(pipeline, Sink().deliver)
    assert sum(turns.receive([trades(trade(number))]) for number in range(100)) >= 10


def test_a_frame_that_takes_too_long_is_given_up(pipeline: FramePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_turns, "TURN", 1e-9)
    monkeypatch.setattr(frame_turns, "LONGEST", 1e-9)
    sink = Sink()
    turns = FrameTurns(pipeline, sink.deliver)
    turns.receive([LONG, trades(trade(ITEMS))])
    finish(turns, sink)
    totals = settled(pipeline, sink)
    assert totals["published"] + totals["dead_letters"] == totals["received"] == ITEMS + 1
    assert totals["dead_letters"] > ITEMS - 300
    assert len(sink.all) < 300


@pytest.mark.parametrize(("moment", "left"), [(0.0, 2), (60.0, 0)])
def test_at_the_end_of_a_connection_everything_is_in_the_books(
    pipeline: FramePipeline, moment: float, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_turns, "AT_THE_END", moment)
    sink = Sink(0)
    turns = FrameTurns(pipeline, sink.deliver)
    turns.receive([BAD])
    turns.receive(["{}", "{}"])
    assert turns.give_up() == left
    assert not turns.unfinished
    assert settled(pipeline, sink)["dead_letters"] == MOST_ITEMS
    assert len(sink.all) <= 101
    assert turns.give_up() == 0


def test_while_a_connection_is_being_closed_its_frames_have_a_moment(
    pipeline: FramePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(frame_turns, "monotonic", lambda: next(clock) * 0.1)
    sink = Sink()
    turns = FrameTurns(pipeline, sink.deliver)
    turns.closing()
    for number in range(100):
        turns.receive([trades(trade(number))])
    assert 0 < len(sink.all) < 20
    assert turns.give_up() == 100 - len(sink.all)


def test_frames_wait_while_others_had_the_turn_of_the_loop(
    pipeline: FramePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_turns, "TURN", 60.0)  # no turn of one frame is long, whatever the machine does

    async def run() -> None:
        sink, share = Sink(), LoopShare(frame_turns.TURN)
        turns = FrameTurns(pipeline, sink.deliver, share=share)
        assert not turns.receive([trades(trade(1))])
        share.spend(frame_turns.TURN)
        assert turns.receive([trades(trade(2))])
        assert turns.receive([trades(trade(3))])
        assert len(sink.all) == 1
        await share.turn()
        finish(turns, sink)
        numbers = [one.schema.decode_plain(one.value)["trade_id"] for one in sink.all if one.schema]
        assert numbers == [f"VENUE-{number}" for number in (1, 2, 3)]

    asyncio.run(run())


def test_who_waits_for_the_loop_when_its_connection_ends_loses_nothing(pipeline: FramePipeline) -> None:
    async def run() -> None:
        sink, share = Sink(), LoopShare(frame_turns.TURN)
        turns = FrameTurns(pipeline, sink.deliver, share=share)
        share.spend(frame_turns.TURN)
        assert turns.receive([trades(trade(1))])
        assert turns.give_up() == 0
        assert len(sink.all) == 1

    asyncio.run(run())
