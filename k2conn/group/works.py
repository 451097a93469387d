"""What a member does with its slots: the way in which they are run, as the member sees it.

There are two. Where delivery is at least once and state is each process's own, one runner carries the symbols of all
slots (`one_runner`). Where state belongs to the slots, each slot has a runner of its own (`runner_per_slot`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from k2conn.group.slots import SlotTable
from k2conn.runner import Job, RunOutcome


class SlotWorks(Protocol):
    """See the module's text."""

    opened: asyncio.Event
    """Set once slots can be run."""
    fenced: int
    """How often another process took over a slot that was at work here."""

    async def run(self, stop: asyncio.Event) -> RunOutcome:
        """Runs what is wanted until told to stop."""

    async def stop(self) -> None:
        """Changes nothing any more."""

    def want(self, jobs: Sequence[Job], table: SlotTable, owned: frozenset[int], lost: frozenset[int],
             generation: int) -> None:
        """From now on these slots are to run: those that are the member's own, by the assignment of a ``generation``,
        and those it has lost until their new owner carries them.
        """

    def carried(self, table: SlotTable, slots: frozenset[int]) -> frozenset[int]:
        """Those of some slots whose symbols are all subscribed, or have data, and what is not quite ended yet."""

    def warm(self, table: SlotTable) -> frozenset[int]:
        """Slots that wait for their old owner's end, with all symbols subscribed."""

    def let_in(self, table: SlotTable, others: Collection[int]) -> None:
        """Of the slots that wait, those begin that nobody else carries: ``others`` are carried elsewhere."""

    def relieved(self, carrying: Collection[int], warm: Collection[int]) -> frozenset[int]:
        """Slots that need not be run here any more if they are lost. Their owners say that they are ``carrying`` them,
        or have them ``warm``.
        """

    def unsent(self) -> int:
        """Records that are not durable yet."""

    def divide_limits(self, everybody: tuple[int, int], connectors: Mapping[str, tuple[int, int]]) -> None:
        """See `SharedLimits.divide`."""
