"""Keeps a runner at the symbols of some slots: connectors come and go, and open connections change their symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from k2conn.ending_tasks import end_tasks
from k2conn.engine.accounting.ledger import MOST_SYMBOLS
from k2conn.errors import K2Error
from k2conn.group.slots import SlotTable
from k2conn.runner import Connector, Job, Runner
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.event_log import get_logger
from k2conn.runner.reload import Reloader

AGAIN = 5.0
"""Seconds until what could not be started is tried again."""


class SlotKeeper:
    """``failed`` is called with what is a bug."""

    def __init__(self, runner: Runner, failed: Callable[[Exception], None]) -> None:
        self._runner = runner
        self._failed = failed
        self._jobs: dict[str, Job] = {}
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reloader = Reloader(runner, list)
        self._log = get_logger()

    def want(self, jobs: Sequence[Job], symbols: Mapping[str, tuple[str, ...]]) -> None:
        """From now on these symbols are to run; jobs that have none are not run."""
        self._jobs = {job.plan.name: job for job in jobs}
        for name in self._jobs.keys() | self._wanted.keys():
            self._wanted[name] = symbols.get(name, ())
            self._wakes.setdefault(name, asyncio.Event()).set()
            if name not in self._tasks and self._wanted[name]:
                self._tasks[name] = asyncio.create_task(self._keep(name), name=f"slots of {name}")
                self._tasks[name].add_done_callback(self._ended)

    async def stop(self) -> None:
        """Changes nothing any more."""
        await end_tasks(*self._tasks.values())

    def carried(self, table: SlotTable, slots: frozenset[int]) -> frozenset[int]:
        """Those of some slots whose symbols are all subscribed, or have data."""
        live: dict[str, set[str]] = {}
        known: dict[str, set[str]] = {}
        proved: dict[str, bool] = {}
        for connector in self._runner.connectors:
            name = connector.plan.name
            known[name], live[name] = _subscribed(connector)
            proved[name] = connector.proved

        def stands(connector: str, symbol: str) -> bool:
            """A symbol that the venue does not list is on no connection: it is as good as carried."""
            if symbol in live.get(connector, ()):
                return True
            settled = symbol not in known.get(connector, ()) and self._runs(connector) == self._wanted.get(connector)
            return settled and proved.get(connector, False)

        return frozenset(
            slot for slot in slots
            if all(stands(connector, one) for connector, symbols in table.of(slot).items() for one in symbols)
        )

    def _runs(self, name: str) -> tuple[str, ...]:
        return next((one.job.wanted for one in self._runner.connectors if one.plan.name == name), ())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failed(error)

    async def _keep(self, name: str) -> None:
        """One connector, whatever its symbols are to be."""
        wake = self._wakes[name]
        while True:
            await wake.wait()
            wake.clear()
            try:
                await self._become(name, self._jobs.get(name), self._wanted[name])
            except K2Error as error:
                self._log.error("slots cannot be run", connector=name, detail=str(error), again_in=f"{AGAIN:.0f} s")
                await asyncio.sleep(AGAIN)
                wake.set()

    async def _become(self, name: str, job: Job | None, symbols: tuple[str, ...]) -> None:
        running = next((one for one in self._runner.connectors if one.plan.name == name), None)
        if job is not None:
            job = with_room(job, symbols)
        if not symbols or job is None:
            if running is not None:
                await self._runner.end(name)
        elif running is None:
            await self._runner.begin(job)
        elif (running.job.wanted, running.job.digest) != (symbols, job.digest):
            await self._reloader.change(name, job)


def with_room(job: Job, symbols: tuple[str, ...]) -> Job:
    """A job for some of its symbols; it has room for those that others carry now, too."""
    given = job.overrides
    room = replace(given, most_symbols=given.most_symbols or MOST_SYMBOLS)
    return replace(job, symbols=symbols, overrides=room)


def _subscribed(connector: Connector) -> tuple[set[str], set[str]]:
    """The native names of all symbols on its connections, and of those that are subscribed or have data on each kind of
    them.
    """
    known: dict[str, set[str]] = {}
    live: dict[str, set[str]] = {}
    for supervisor in connector.supervisors:
        kind = supervisor.shard.connection.name
        names = {symbol.native for symbol in supervisor.shard.symbols}
        known.setdefault(kind, set()).update(names)
        stands = supervisor.state == ConnectionState.LIVE or (
            supervisor.connection is not None and supervisor.connection.data
        )
        if stands and not supervisor.changing:
            live.setdefault(kind, set()).update(names)
    everything = set[str]().union(*known.values())
    missing = set[str]().union(*(names - live.get(kind, set()) for kind, names in known.items()))
    return everything, everything - missing
