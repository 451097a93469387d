"""A change of nothing but the symbols, made on open connections.

New symbols are subscribed and gone ones unsubscribed on the connections that carry them, where the venue allows it; the
other symbols go on undisturbed. The connector stays the one it was, with its state, its state file and its pending
backfills. What still arrives of a symbol that was unsubscribed is published as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from k2conn.clock import monotonic
from k2conn.engine.sharding.resharding import Resharding, refused, resharded
from k2conn.plan import Symbol
from k2conn.runner.connector import Connector, Job

_LOOK = 0.05
"""Seconds between two looks whether all is subscribed."""
_UNSUBSCRIBED = 0
"""The epoch of a symbol that was not subscribed: what is missing since then is not taken for the venue's omission."""


class SymbolChange:
    """One connector's change to the symbols of another job."""

    def __init__(self, connector: Connector, job: Job, symbols: Sequence[Symbol] | None = None) -> None:
        """``symbols``: those that it is to have, where it has the job already; None: those of the job."""
        self.added: tuple[str, ...] = ()
        self.removed: tuple[str, ...] = ()
        """Native names."""
        self.opened = 0
        self.closed = 0
        """Connections that come and go with them."""
        self._connector = connector
        self._job = job
        self._given = symbols
        self._symbols: Sequence[Symbol] = ()
        self._shards = Resharding((), (), ())

    async def prepare(self) -> str | None:
        """Why the change cannot be made on open connections, in words; None where it can. Raises SettingsError for
        symbols that no rule reads and for frames that cannot be sent.
        """
        connector, job = self._connector, self._job
        if self._given is None and (not job.likeness or job.likeness != connector.job.likeness):
            return "more than its symbols has changed"
        if not connector.changeable:
            return "it is not at work"
        running = [supervisor.shard for supervisor in connector.supervisors]
        known = {symbol.native: symbol for shard in running for symbol in shard.symbols}
        if self._given is None and not known.keys() >= set(job.wanted):
            await connector.read_list(job.wanted)
        wanted = connector.wanted(job).symbols if self._given is None else self._given
        self._symbols = [known.get(symbol.native, symbol) for symbol in wanted]
        streams = connector.connector_state.streams
        self._shards = resharded(connector.plan, streams, self._symbols, running)
        reason = refused(connector.plan, streams, self._shards)
        if reason is None:
            connector.check([*(after for _, after in self._shards.changed), *self._shards.new])
        return reason

    async def make(self, within: float) -> bool:
        """Makes the change that was prepared; whether all is subscribed in time. What is not stays requested."""
        connector, shards = self._connector, self._shards
        names = {symbol.native for symbol in self._symbols}
        known = {symbol.native for supervisor in connector.supervisors for symbol in supervisor.shard.symbols}
        self.added = tuple(symbol.native for symbol in self._symbols if symbol.native not in known)
        self.removed = tuple(sorted(known - names))
        self._note_unsubscribed()
        supervisors = {one.shard.name: one for one in connector.supervisors}
        gone = [supervisors[shard.name] for shard in shards.gone]
        new = connector.supervisors_for(shards.new)
        self.opened, self.closed = len(new), len(gone)
        connector.become(self._job, self._symbols, new, gone)
        for before, after in shards.changed:
            supervisors[before.name].carry(after)
        await asyncio.gather(self._all_subscribed(within), *(supervisor.stop() for supervisor in gone))
        return self._done

    def _note_unsubscribed(self) -> None:
        """Notes which symbols were not subscribed until now, so that what passed meanwhile counts as missed between two
        connections.
        """
        added = set(self.added)
        for mapping in self._connector.connector_state.mappings.values():
            for symbol in self._symbols:
                numbers = mapping.gaps.numbers(symbol.record) if mapping.gaps and symbol.native in added else None
                if numbers is not None:
                    numbers.epoch = _UNSUBSCRIBED
                if mapping.suspected_gaps is not None and symbol.native in added:
                    mapping.suspected_gaps.rest(symbol.record)

    async def _all_subscribed(self, within: float) -> None:
        until = monotonic() + within
        while not self._done and monotonic() < until:
            if await self._connector.stopped(_LOOK):
                return

    @property
    def _done(self) -> bool:
        connector = self._connector
        return connector.changeable and connector.proved and not any(one.changing for one in connector.supervisors)
