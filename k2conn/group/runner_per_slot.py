"""A runner for each slot: its own connections, state, transactions and spool, so that it moves as a whole.

Theory of operation. A slot's state is the partition of its number of the state topic, and who has its transactional id
may write it: to begin is to make a producer of that id, which ends the one before. So the group's assignment only
proposes; whatever two members believe of it, one of them writes.

A slot that a member gains is *warm* first: its connectors subscribe, and hold what comes. The old owner hears that (in
the beats), commits, and ends it in order; where it is gone or does not answer, nobody is waited for. Then the slot
*begins*: the old owner is fenced, what it has committed is read, and what was held goes through the windows and gap
books that follow from it. So what both had is published once, and what nobody had is known to the record.

A slot that another process has taken over ends here alone. It begins again only by a later assignment, or where that of
before is still the last one after a session: else two that believe in different assignments would fence each other in
turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from k2conn.clock import monotonic
from k2conn.ending_tasks import end_tasks
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.errors import K2Error, Superseded
from k2conn.group.one_runner import unsent_of
from k2conn.group.slot_keeper import SlotKeeper, with_room
from k2conn.group.slots import SlotTable
from k2conn.runner import Job, Runner, RunOutcome
from k2conn.runner.event_log import get_logger
from k2conn.runner.status import merge_reports

AGAIN = 2.0
"""Seconds until a slot is begun again that could not be."""
WARM_WITHIN = 10.0
"""Seconds after which a slot begins, whether it is subscribed or not: its venue may be away."""
BELIEVED = 10.0
"""Seconds after which it is true what another one says that it carries."""
HAND_OVER_WITHIN = 3.0
"""Seconds for which an old owner that is heard is waited for."""

MakeRunner = Callable[[int, Sequence[Job], asyncio.Event, SharedLimits], Runner]
"""Makes the runner of a slot, which waits for its turn."""


class SlotRun:
    """One slot at work, from its first subscription to its end."""

    def __init__(self, slot: int, jobs: Sequence[Job], make: MakeRunner, limits: SharedLimits,
                 failed: Callable[[Exception], None]) -> None:
        self.slot = slot
        self.jobs = jobs
        self.turn = asyncio.Event()
        self.stopping = asyncio.Event()
        self.runner = make(slot, jobs, self.turn, limits)
        self._keeper = SlotKeeper(self.runner, failed)
        self._since = monotonic()
        self._warm_since: float | None = None

    async def run(self, changed: Callable[[], None]) -> RunOutcome:
        """Until told to stop; ``changed`` is called when it begins, and when it is let go of. Superseded where another
        process has taken over; what else a runner raises.
        """
        told = [asyncio.create_task(event.wait()) for event in (self.runner.opened, self.runner.released)]
        for one in told:
            one.add_done_callback(lambda _: changed())
        try:
            return await self.runner.run(self.stopping)
        finally:
            for one in told:
                one.cancel()
            await self._keeper.stop()

    def hand_over(self) -> None:
        """It ends, and another process that is warm goes on."""
        self.runner.handing_over = True
        self.stopping.set()

    @property
    def at_work(self) -> bool:
        """Whether it writes, or may."""
        return self.turn.is_set()

    def become(self, jobs: Sequence[Job]) -> None:
        """From now on it is to run these jobs; one that has not begun begins anew with them."""
        if _what(jobs) == _what(self.jobs):
            return
        self.jobs = jobs
        if self.runner.opened.is_set():
            self._keeper.want(jobs, {job.plan.name: job.wanted for job in jobs})
        else:
            self.stopping.set()

    def subscribed(self, table: SlotTable) -> bool:
        """Whether all of its symbols are subscribed, or have data."""
        if self.runner.opened.is_set():
            self._keeper.want(self.jobs, {job.plan.name: job.wanted for job in self.jobs})
        return bool(self._keeper.carried(table, frozenset((self.slot,))))

    def warm(self, table: SlotTable) -> bool:
        """Whether it waits for nothing but the end of the old owner."""
        if self.at_work or self.stopping.is_set():
            return False
        if self._warm_since is None and (
            self._enough() or (self.runner.warm.is_set() and self.subscribed(table))
            or monotonic() > self._since + WARM_WITHIN
        ):
            self._warm_since = monotonic()
        return self._warm_since is not None

    def out_of_patience(self) -> bool:
        """Whether the old owner has had its time."""
        waited = 0.0 if self._warm_since is None else monotonic() - self._warm_since
        return waited > HAND_OVER_WITHIN or self._enough()

    def _enough(self) -> bool:
        held = (one.connector_state.held for one in self.runner.connectors)
        return any(one is not None and one.enough for one in held)


class RunnerPerSlot:
    """See the module's text, and `SlotWorks`. ``session``: seconds for which an assignment may be out of date;
    ``changed`` is called when a slot has begun or ended.
    """

    def __init__(
        self, make: MakeRunner, session: float, failed: Callable[[Exception], None], changed: Callable[[], None]
    ) -> None:
        self._make = make
        self._changed = changed
        self._session = session
        self._failed = failed
        self._limits = SharedLimits(of_connectors=True)
        self._jobs: Sequence[Job] = ()
        self._table: SlotTable | None = None
        self._owned: frozenset[int] = frozenset()
        self._wanted: frozenset[int] = frozenset()
        self.runs: dict[int, SlotRun] = {}
        """The slots at work, by number."""
        self._keeping: dict[int, asyncio.Task[None]] = {}
        self._given = asyncio.Event()
        self._over: set[int] = set()
        """Lost slots that another process has taken over by now."""
        self._said: dict[int, float] = {}
        """Slots that others say they carry, and since when."""
        self._generation = -1
        self._ending = False
        """Whether all slots end, and none begins again, whatever the group gives."""
        self._unsent = 0
        self._crashes = 0
        self.report = merge_reports(())
        """The figures of the slots that have ended."""
        self.fenced = 0
        self.started = monotonic()
        self.opened = asyncio.Event()
        self._log = get_logger()

    @property
    def runners(self) -> dict[int, Runner]:
        """Those at work, by slot in order."""
        return {slot: self.runs[slot].runner for slot in sorted(self.runs)}

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """See `SlotWorks`."""
        self.opened.set()
        await stop.wait()
        self._ending, self._wanted = True, frozenset()
        self._given.set()  # whoever waits for an assignment waits no more
        self._tell()
        if self._keeping:
            await asyncio.wait(list(self._keeping.values()))
        return RunOutcome(self._unsent, (), monotonic() - self.started, self._crashes)

    async def stop(self) -> None:
        """See `SlotWorks`."""
        await end_tasks(*self._keeping.values())

    def want(self, jobs: Sequence[Job], table: SlotTable, owned: frozenset[int], lost: frozenset[int],
             generation: int) -> None:
        """See `SlotWorks`."""
        if self._ending:
            return
        self._jobs, self._table = jobs, table
        anew = generation != self._generation
        self._owned, self._generation = owned, generation
        self._over &= lost
        # One that was lost before it began is nobody's to keep: it would take over from those who have it since.
        begun = {slot for slot, run in self.runs.items() if run.at_work}
        self._wanted = frozenset(slot for slot in owned | (lost & begun) if table.weights[slot])
        if anew:
            given, self._given = self._given, asyncio.Event()
            given.set()
        self._tell()

    def _tell(self) -> None:
        """Every slot is run, changed or ended as it is wanted now."""
        for slot, run in self.runs.items():
            if slot not in self._wanted and not self._ending:
                run.hand_over()
            elif slot not in self._wanted:
                run.stopping.set()
            else:
                run.become(self._jobs_of(slot))
        for slot in self._wanted - self._keeping.keys():
            task = self._keeping[slot] = asyncio.create_task(self._keep(slot), name=f"slot {slot}")
            task.add_done_callback(self._ended)

    def _jobs_of(self, slot: int) -> list[Job]:
        assert self._table is not None
        symbols = self._table.symbols((slot,))
        return [with_room(job, symbols[job.plan.name]) for job in self._jobs if job.plan.name in symbols]

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failed(error)

    async def _keep(self, slot: int) -> None:
        """Runs one slot, again and again, while it is wanted."""
        try:
            while slot in self._wanted:
                await self._once(slot)
        finally:
            del self._keeping[slot]

    async def _once(self, slot: int) -> None:
        log, again, generation = self._log.bind(slot=slot), 0.0, self._generation
        try:
            run = self.runs[slot] = SlotRun(slot, self._jobs_of(slot), self._make, self._limits, self._failed)
            outcome = await run.run(self._changed)
            self._unsent += outcome.unsent
            self._crashes += outcome.crashes
        except Superseded as error:
            self.fenced += 1
            log.warning("slot taken over", detail=str(error))
            if slot not in self._owned:
                self._over.add(slot)
                self._wanted -= {slot}
            again = self._session if generation == self._generation else 0.0
        except K2Error as error:
            log.error("slot cannot be run", detail=str(error), again_in=f"{AGAIN:.0f} s")
            again = AGAIN
        finally:
            self._forget(slot)
            self._changed()
        if again and slot in self._wanted:
            with suppress(TimeoutError):
                async with asyncio.timeout(again):
                    await self._given.wait()

    def _forget(self, slot: int) -> None:
        run = self.runs.pop(slot, None)
        if run is not None and run.runner.opened.is_set():
            self.report = merge_reports([self.report, run.runner.report()] if self.report["connectors"] else
                                        [run.runner.report()])

    # -- what others are told, and what follows from what they say

    def carried(self, table: SlotTable, slots: frozenset[int]) -> frozenset[int]:
        """See `SlotWorks`."""
        idle = {slot for slot in slots if not table.weights[slot]}
        return frozenset(idle | {
            slot for slot, run in self.runs.items()
            if run.at_work and run.runner.opened.is_set() and not run.runner.released.is_set()
            and (run.stopping.is_set() or run.subscribed(table))
        })

    def warm(self, table: SlotTable) -> frozenset[int]:
        """See `SlotWorks`."""
        return frozenset(slot for slot, run in self.runs.items() if run.warm(table))

    def let_in(self, table: SlotTable, others: Collection[int]) -> None:
        """See `SlotWorks`."""
        for slot, run in self.runs.items():
            if run.warm(table) and (slot not in others or run.out_of_patience()):
                run.turn.set()

    def relieved(self, carrying: Collection[int], warm: Collection[int]) -> frozenset[int]:
        """See `SlotWorks`. Who was frozen may say that it carries what another one has taken over; it hears of that
        with its next transaction.
        """
        now = monotonic()
        self._said = {slot: self._said.get(slot, now) for slot in carrying}
        believed = {slot for slot, since in self._said.items() if now > since + BELIEVED}
        return frozenset({*warm, *believed, *self._over})

    def unsent(self) -> int:
        """See `SlotWorks`."""
        return sum(unsent_of(run.runner) for run in self.runs.values() if run.runner.opened.is_set())

    def divide_limits(self, everybody: tuple[int, int], connectors: Mapping[str, tuple[int, int]]) -> None:
        """See `SlotWorks`."""
        self._limits.divide(everybody, connectors)


def _what(jobs: Sequence[Job]) -> list[tuple[str, tuple[str, ...], str]]:
    return [(job.plan.name, job.wanted, job.digest) for job in jobs]
