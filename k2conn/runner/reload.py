"""Reload: the running connectors against what their files say now.

Where only a connector's symbols changed, its open connections subscribe what is new and take back what is gone, if the
venue allows it. Any other connector whose file (or symbols, streams, settings) changed is started anew beside the old
one, and only when it is subscribed or has data is the old one retired; the two share ledger and duplicate window, so
nothing is lost and nothing is published twice. What cannot be read, or does not prove itself, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from k2conn.errors import K2Error
from k2conn.runner.connector import Connector, Job
from k2conn.runner.event_log import get_logger
from k2conn.runner.runner import Runner
from k2conn.runner.symbol_change import SymbolChange

PROVE_WITHIN = 60.0
"""Seconds in which a new connector is to be subscribed."""


class Reloader:
    """Reloads one runner's jobs. ``read`` gives the jobs as they are said now, or raises K2Error; it may block."""

    def __init__(self, runner: Runner, read: Callable[[], Sequence[Job]]) -> None:
        self._runner = runner
        self._read = read
        self._turn = asyncio.Lock()
        self._log = get_logger()

    async def reload(self) -> bool:
        """Whether everything runs now as it is said; one reload at a time."""
        async with self._turn:
            try:
                jobs = await asyncio.to_thread(self._read)
            except K2Error as error:
                self._log.error("reload refused, the old plan goes on", problems=str(error).splitlines())
                return False
            return await self._apply(jobs)

    async def _apply(self, jobs: Sequence[Job]) -> bool:
        wanted = {job.plan.name: job for job in jobs}
        running = {connector.plan.name: connector for connector in self._runner.connectors}
        for name in sorted(wanted.keys() ^ running.keys()):
            self._log.warning("a connector that comes or goes needs a restart", connector=name)
        good, changed = True, 0
        for name in wanted.keys() & running.keys():
            job, old = wanted[name], running[name]
            same = (job.wanted, job.share) == (old.job.wanted, old.job.share)
            if job.digest and job.digest == old.job.digest and same:
                continue
            changed += 1
            good = await self.change(name, job) and good
        if not changed:
            self._log.info("reloaded: nothing has changed")
        return good

    async def change(self, name: str, job: Job) -> bool:
        """Makes one running connector run another job; whether it does, and is subscribed."""
        old = next(one for one in self._runner.connectors if one.plan.name == name)
        try:
            async with old.changing_symbols:
                change = SymbolChange(old, job)
                reason = await _prepared(change)
                if reason is None:
                    return await self._changed(old, change)
            self._log.info("the connector is replaced as a whole", connector=name, reason=reason)
            proved = await self._runner.replace(old, job, PROVE_WITHIN)
        except K2Error as error:
            self._log.error("reload refused, the old plan goes on", connector=name, detail=str(error))
            return False
        if proved:
            self._log.info("reloaded: the new plan runs", connector=name)
        elif old in self._runner.connectors:
            self._log.error("the new plan was not subscribed in time, the old one goes on", connector=name)
        else:
            self._log.error("the new plan is not subscribed; the venue allows no second connection", connector=name)
        return proved

    async def _changed(self, connector: Connector, change: SymbolChange) -> bool:
        """Only the symbols change, on the connections that stand."""
        done = await change.make(PROVE_WITHIN)
        if not (change.added or change.removed):
            self._log.info("reloaded: what runs has not changed", connector=connector.plan.name)
            return True
        words = {"connector": connector.plan.name, "added": list(change.added), "removed": list(change.removed),
                 "sockets_opened": change.opened, "sockets_closed": change.closed}
        if done:
            self._log.info("reloaded: the symbols changed", **words)
        else:
            self._log.error("the new symbols were not all subscribed in time", **words)
        return done


async def _prepared(change: SymbolChange) -> str | None:
    """Why a change cannot be made in place; None where it can."""
    try:
        async with asyncio.timeout(PROVE_WITHIN):
            return await change.prepare()
    except TimeoutError:
        return "the venue's instrument list was not read in time"
