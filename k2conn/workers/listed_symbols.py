"""Which symbols are all of a venue, for connectors that are asked for all and run in several processes: the leading one
of some workers, or each member of a group, reads the venue's list, so that what the list names can be shared.

What is listed later is dealt out, too. What is no longer listed stays where it is: the venue ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from k2conn.engine.accounting.ledger import MOST_SYMBOLS
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import Unreachable
from k2conn.plan import InstrumentList
from k2conn.runner import Job
from k2conn.runner.declared_hosts import destinations
from k2conn.runner.event_log import get_logger
from k2conn.runner.instrument_refresh import InstrumentRefresh
from k2conn.runner.wanted_symbols import asks_for_all

TRIES = 3
"""Attempts to read a list at the start; without it there is nothing to run."""
Outcome = TypeVar("Outcome")
_LOOK = 0.5
"""Seconds between two looks whether a list was read again."""


class ListedSymbols:
    """The lists of those of some jobs that are asked for all that their venue's list has."""

    def __init__(self, jobs: Iterable[Job], environment: Mapping[str, str]) -> None:
        self._lists = {
            job.plan.name: _VenueList(job, listing, environment) for job in jobs
            if (listing := job.plan.symbols.list) is not None and by_list(job)
        }

    async def read(self) -> None:
        """Reads all lists. Raises Unreachable where one cannot be had, SettingsError where it cannot even be asked for.
        """
        await asyncio.gather(*(one.read() for one in self._lists.values()))

    def shared(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs, each that is asked for all with the names that these are as far as is known now."""
        return [
            replace(job, share=self._lists[job.plan.name].names) if by_list(job) and job.plan.name in self._lists
            else job
            for job in jobs
        ]

    def named(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs, each that is asked for all as one that is asked for these names."""
        return [replace(job, symbols=job.share or job.symbols, share=None) for job in self.shared(jobs)]

    async def followed(
        self, work: Callable[[asyncio.Event], Awaitable[Outcome]], deal_out: Callable[[], Awaitable[object]],
        stop: asyncio.Event,
    ) -> Outcome:
        """Works until told to stop, while what venues list anew is dealt out. A bug in that ends all."""
        following = asyncio.create_task(self.follow(deal_out))
        following.add_done_callback(lambda done: stop.set() if not done.cancelled() and done.exception() else None)
        try:
            return await work(stop)
        finally:
            if following.done():
                following.result()
            following.cancel()

    async def follow(self, deal_out: Callable[[], Awaitable[object]]) -> None:
        """Reads the lists again as often as the files say, until cancelled; ``deal_out`` is called for new names.
        Returns where there are none.
        """
        if not self._lists:
            return
        async with asyncio.TaskGroup() as group:
            for one in self._lists.values():
                group.create_task(one.keep())
            while True:
                await asyncio.sleep(_LOOK)
                new = [one.look() for one in self._lists.values()]
                if any(new):
                    await deal_out()


class _VenueList:
    """One venue's list, and what it has named so far."""

    def __init__(self, job: Job, listing: InstrumentList, environment: Mapping[str, str]) -> None:
        self.names: tuple[str, ...] = ()
        """The venue's names; another tuple whenever there are more, for another thread may read them."""
        self._connector = job.plan.name
        self._symbols = SymbolDirectory(job.plan.symbols, job.overrides.most_symbols or MOST_SYMBOLS)
        self._seen = 0
        self._refresh = InstrumentRefresh(
            job.plan.name, listing, self._symbols, job.overrides, environment, destinations(job.plan, job.overrides)
        )

    async def read(self) -> None:
        """Reads it for the first time."""
        self._refresh.check()
        await self._refresh.first(self._give_up, TRIES - 1)
        self.look()

    def _give_up(self) -> bool:
        raise Unreachable(f"{self._connector}: which symbols are `all` its list says, and that could not be read in "
                          f"{TRIES} tries; so there is nothing to share")

    async def keep(self) -> None:
        """Reads it again and again, where the file says how often."""
        await self._refresh.keep()

    def look(self) -> bool:
        """Whether it names what it did not name before."""
        if self._symbols.revision == self._seen:
            return False
        self._seen, known = self._symbols.revision, set(self.names)
        new = [symbol.native for symbol in self._symbols.tradable() if symbol.native not in known]
        if new and self.names:
            get_logger(connector=self._connector).info("the venue lists new symbols", added=new[:20], symbols=len(new))
        self.names += tuple(new)
        return bool(new)


def by_list(job: Job) -> bool:
    """Whether a job is asked for all symbols, and only the venue's list can say which these are."""
    return asks_for_all(job.wanted) and not job.plan.symbols.all
