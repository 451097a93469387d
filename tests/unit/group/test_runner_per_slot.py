"""Which slots are run, by what the group gives and by what others say; the runners stand still here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.errors import Superseded, Unreachable
from k2conn.group import runner_per_slot
from k2conn.group.runner_per_slot import RunnerPerSlot, SlotRun
from k2conn.group.slots import Bundled, SlotTable
from k2conn.group.table_of_jobs import slot_table
from k2conn.runner import Job, Runner, RunOutcome
from tests.unit.group.test_sharing import job

TABLE = slot_table((job(),), 4, "exactly-once")
BUSY = frozenset(slot for slot in range(4) if TABLE.weights[slot])
NONE = frozenset[int]()


@dataclass
class Still:
    """What a slot needs of a runner. ``fails``: what its sink raises."""

    slot: int
    turn: asyncio.Event
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    warm: asyncio.Event = field(default_factory=asyncio.Event)
    handing_over: bool = False
    fails: asyncio.Future[BaseException] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    connectors: tuple[()] = ()

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        waits = [asyncio.create_task(one.wait()) for one in (stop, self.turn)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self.turn.is_set() and not stop.is_set():
            self.opened.set()
            await asyncio.wait([waits[0], self.fails], return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        if self.fails.done():
            raise self.fails.result()
        return RunOutcome(0, (), 0.0)

    def report(self) -> dict[str, Any]:
        return {"seconds": 0, "records": 0, "sink": None, "connectors": {}}

    def sink_status(self) -> dict[str, int]:
        return {"queued": 0}


class Bench:
    def __init__(self) -> None:
        self.made: list[Still] = []
        self.bugs: list[Exception] = []
        self.warmed = True
        """Whether sinks are ready at once."""
        self.works = RunnerPerSlot(self.make, 30.0, self.bugs.append, lambda: None)

    def make(self, slot: int, jobs: Sequence[Job], turn: asyncio.Event, limits: SharedLimits) -> Runner:
        self.made.append(Still(slot, turn))
        if self.warmed:
            self.made[-1].warm.set()
        return cast(Runner, self.made[-1])

    def given(self, owned: frozenset[int], generation: int, lost: frozenset[int] = NONE) -> None:
        self.works.want((job(),), TABLE, owned, lost, generation)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 # of what has no event
                await asyncio.sleep(0.005)

    async def begun(self, slots: frozenset[int]) -> None:
        """These slots are warm, and nobody else has them."""
        await self.until(lambda: set(self.works.runs) == slots)
        await self.until(lambda: self.works.warm(TABLE) >= slots)
        self.works.let_in(TABLE, ())
        await self.until(lambda: all(run.runner.opened.is_set() for run in self.works.runs.values()))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is never subscribed is warm at once."""
    monkeypatch.setattr(runner_per_slot, "WARM_WITHIN", 0.0)


def played(main: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench, stop = Bench(), asyncio.Event()
        running = asyncio.create_task(bench.works.run(stop))
        await main(bench)
        stop.set()
        async with asyncio.timeout(60):
            await running
        assert bench.bugs == []
        assert not bench.works.runs

    asyncio.run(run())


def test_a_slot_waits_while_another_one_carries_it() -> None:
    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.until(lambda: bench.works.warm(TABLE) == BUSY)
        (held, *_) = BUSY
        bench.works.let_in(TABLE, {held})
        assert {slot for slot, run in bench.works.runs.items() if run.at_work} == BUSY - {held}
        bench.works.let_in(TABLE, ())
        assert all(run.at_work for run in bench.works.runs.values())

    played(main)


def test_who_does_not_let_go_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_per_slot, "HAND_OVER_WITHIN", 0.0)

    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.until(lambda: bench.works.warm(TABLE) == BUSY)
        await asyncio.sleep(0.01)
        bench.works.let_in(TABLE, BUSY)
        assert all(run.at_work for run in bench.works.runs.values())

    played(main)


def test_a_slot_that_was_taken_over_begins_again_by_a_later_assignment_only() -> None:
    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        slot = min(BUSY)
        taken = next(one for one in bench.made if one.slot == slot)
        taken.fails.set_result(Superseded("another process"))
        await bench.until(lambda: slot not in bench.works.runs)
        assert bench.works.fenced == 1
        bench.given(BUSY, 1)
        await asyncio.sleep(0.05)
        assert slot not in bench.works.runs
        bench.given(BUSY, 2)
        await bench.until(lambda: slot in bench.works.runs)

    played(main)


def test_one_that_finds_out_late_begins_again_at_once() -> None:
    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        bench.given(BUSY, 2)  # as of one that was frozen, and has joined again before its next transaction
        slot = min(BUSY)
        next(one for one in bench.made if one.slot == slot).fails.set_result(Superseded("another process"))
        await bench.until(lambda: len([one for one in bench.made if one.slot == slot]) == 2)

    played(main)


def test_a_lost_slot_that_was_taken_over_is_let_go() -> None:
    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        bench.given(NONE, 2, lost=BUSY)
        assert set(bench.works.runs) == BUSY
        slot = min(BUSY)
        next(one for one in bench.made if one.slot == slot).fails.set_result(Superseded("another process"))
        await bench.until(lambda: slot in bench.works.relieved((), ()))
        assert bench.works.relieved((), BUSY) == BUSY, "those that others have warm"
        assert bench.works.relieved(BUSY, ()) == {slot}, "who was frozen says that it carries what it does not"

    played(main)


def test_what_cannot_be_run_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_per_slot, "AGAIN", 0.01)

    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        slot = min(BUSY)
        next(one for one in bench.made if one.slot == slot).fails.set_result(Unreachable("away"))
        await bench.until(lambda: len([one for one in bench.made if one.slot == slot]) == 2)

    played(main)


def test_what_the_group_gives_while_all_ends_begins_nothing() -> None:
    async def run() -> None:
        bench, stop = Bench(), asyncio.Event()
        running = asyncio.create_task(bench.works.run(stop))
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        stop.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bench.given(BUSY, 2)
        async with asyncio.timeout(60):
            await running
        assert not bench.works.runs
        assert len(bench.made) == len(BUSY)

    asyncio.run(run())


def test_slots_without_a_symbol_are_carried_without_a_runner() -> None:
    table = SlotTable(4, (Bundled("alpha", ()),), "exactly-once")
    works = RunnerPerSlot(Bench.make, 30.0, lambda bug: None, lambda: None)  # type: ignore[arg-type]
    assert works.carried(table, frozenset(range(4))) == frozenset(range(4))


def test_a_slot_is_warm_only_once_its_sink_needs_nothing_but_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(bench: Bench) -> None:
        monkeypatch.setattr(runner_per_slot, "WARM_WITHIN", 600.0)
        monkeypatch.setattr(SlotRun, "subscribed", lambda run, table: True)
        bench.warmed = False
        bench.given(BUSY, 1)
        await bench.until(lambda: set(bench.works.runs) == BUSY)
        assert bench.works.warm(TABLE) == NONE
        bench.made[0].warm.set()
        assert bench.works.warm(TABLE) == {bench.made[0].slot}

    played(main)


def test_a_slot_that_moves_is_let_go_of_before_its_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(bench: Bench) -> None:
        monkeypatch.setattr(SlotRun, "subscribed", lambda run, table: True)
        bench.given(BUSY, 1)
        await bench.begun(BUSY)
        (slot, *_) = BUSY
        run = bench.works.runs[slot]
        still = cast(Still, run.runner)
        bench.given(BUSY - {slot}, 2, frozenset({slot}))
        run.hand_over()
        assert still.handing_over
        assert slot in bench.works.carried(TABLE, BUSY)
        still.released.set()
        assert slot not in bench.works.carried(TABLE, BUSY)

    played(main)


def test_a_slot_that_is_lost_before_it_began_is_dropped() -> None:
    """It would end the one who has it since, and publish late what it held all the time."""

    async def main(bench: Bench) -> None:
        bench.given(BUSY, 1)
        await bench.until(lambda: bench.works.warm(TABLE) == BUSY)
        (slot, *_) = BUSY
        bench.given(BUSY - {slot}, 2, frozenset({slot}))
        await bench.until(lambda: slot not in bench.works.runs)
        bench.works.let_in(TABLE, ())
        assert bench.works.runs.keys() == BUSY - {slot}

    played(main)
