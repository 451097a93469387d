"""All slots of a member in one runner, which shares its connections and its sink among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from k2conn.group.slot_keeper import SlotKeeper
from k2conn.group.slots import SlotTable
from k2conn.runner import Job, Runner, RunOutcome


class OneRunner:
    """See `SlotWorks`. ``failed`` is called with what is a bug."""

    fenced = 0

    def __init__(
        self, runner: Runner, failed: Callable[[Exception], None], changed: Callable[[], None] | None = None
    ) -> None:
        self._runner = runner
        self._keeper = SlotKeeper(runner, failed)
        self.opened: asyncio.Event = runner.opened

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """See `SlotWorks`."""
        return await self._runner.run(stop)

    async def stop(self) -> None:
        """See `SlotWorks`."""
        await self._keeper.stop()

    def want(self, jobs: Sequence[Job], table: SlotTable, owned: frozenset[int], lost: frozenset[int],
             generation: int) -> None:
        """See `SlotWorks`."""
        self._keeper.want(jobs, table.symbols(owned | lost))

    def carried(self, table: SlotTable, slots: frozenset[int]) -> frozenset[int]:
        """See `SlotWorks`."""
        return self._keeper.carried(table, slots)

    def warm(self, table: SlotTable) -> frozenset[int]:
        """None: a slot is at work as soon as it is subscribed."""
        return frozenset()

    def let_in(self, table: SlotTable, others: Collection[int]) -> None:
        """Nothing waits."""

    def relieved(self, carrying: Collection[int], warm: Collection[int]) -> frozenset[int]:
        """Those that others carry."""
        return frozenset(carrying)

    def unsent(self) -> int:
        """See `SlotWorks`."""
        return unsent_of(self._runner)

    def divide_limits(self, everybody: tuple[int, int], connectors: Mapping[str, tuple[int, int]]) -> None:
        """See `SlotWorks`."""
        self._runner.divide_limits(everybody, connectors)


def unsent_of(runner: Runner) -> int:
    """What a runner has handed on that is not durable yet."""
    status = runner.sink_status()
    return status["queued"] + (status["spool"]["records"] if "spool" in status else 0)
