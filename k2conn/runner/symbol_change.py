"""A change of nothing but the symbols, made on the connections that stand.

New symbols are asked for on open connections and gone ones are taken back there, where the venue allows it; nobody else
notices. The connector stays the one it was, with its state, its state file and its work on gaps. What arrives of a
symbol that was taken back is published as ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from k2conn.engine.sharding.resharding import Resharding, refused, resharded
from k2conn.plan import Symbol
from k2conn.runner.connector import Connector, Job, resolve

_LOOK = 0.05
"""Seconds between two looks whether all is subscribed."""
_LEFT = 0
"""The epoch of numbers that nobody listened for: what is missing since then is not the connection's fault."""


class SymbolChange:
    """One connector's change to the symbols of another job."""

    def __init__(self, connector: Connector, job: Job) -> None:
        self.added: tuple[str, ...] = ()
        self.removed: tuple[str, ...] = ()
        """Native names."""
        self.opened = 0
        self.closed = 0
        """Sockets that come and go with them."""
        self._connector = connector
        self._job = job
        self._symbols: Sequence[Symbol] = ()
        self._shards = Resharding((), (), ())

    async def prepare(self) -> str | None:
        """Why the change cannot be made on open connections, in words; None where it can. Raises SettingsError for
        symbols that no rule reads and for frames that cannot be sent.
        """
        connector, job = self._connector, self._job
        if not job.likeness or job.likeness != connector.job.likeness:
            return "more than its symbols has changed"
        if not connector.changeable:
            return "it is not at work"
        running = [socket.shard for socket in connector.sockets]
        known = {symbol.native: symbol for shard in running for symbol in shard.symbols}
        if not known.keys() >= set(job.wanted):
            await connector.read_list(job.wanted)
        self._symbols = [known.get(symbol.native, symbol) for symbol in resolve(connector.plan, job.wanted)]
        streams = connector.connector_state.streams
        self._shards = resharded(connector.plan, streams, self._symbols, running)
        reason = refused(connector.plan, streams, self._shards)
        if reason is None:
            connector.check([*(after for _, after in self._shards.changed), *self._shards.new])
        return reason

    async def make(self, within: float) -> bool:
        """Makes the change that was prepared; whether all is subscribed in time. What is not stays asked for."""
        connector, shards = self._connector, self._shards
        names = {symbol.native for symbol in self._symbols}
        known = {symbol.native for socket in connector.sockets for symbol in socket.shard.symbols}
        self.added = tuple(symbol.native for symbol in self._symbols if symbol.native not in known)
        self.removed = tuple(sorted(known - names))
        self._rest()
        sockets = {socket.shard.name: socket for socket in connector.sockets}
        gone = [sockets[shard.name] for shard in shards.gone]
        new = connector.supervisors_for(shards.new)
        self.opened, self.closed = len(new), len(gone)
        connector.become(self._job, self._symbols, new, gone)
        for before, after in shards.changed:
            sockets[before.name].carry(after)
        await asyncio.gather(self._all_asked(within), *(socket.stop() for socket in gone))
        return self._done

    def _rest(self) -> None:
        """A symbol that is asked for again was not listened to meanwhile."""
        added = set(self.added)
        for mapping in self._connector.connector_state.mappings.values():
            for symbol in self._symbols:
                numbers = mapping.gaps.numbers(symbol.record) if mapping.gaps and symbol.native in added else None
                if numbers is not None:
                    numbers.epoch = _LEFT
                if mapping.suspected_gaps is not None and symbol.native in added:
                    mapping.suspected_gaps.rest(symbol.record)

    async def _all_asked(self, within: float) -> None:
        until = time.monotonic() + within
        while not self._done and time.monotonic() < until:
            if await self._connector.stopped(_LOOK):
                return

    @property
    def _done(self) -> bool:
        connector = self._connector
        return connector.changeable and connector.proved and not any(one.changing for one in connector.sockets)
