"""The state of all connectors of a process, kept where their records go (see `k2conn.sinks.journal`).

Theory of operation. A connector takes a frame in and hands its envelopes to the sink without letting anybody else have
a turn between. So whenever the event loop comes to the journal, what the connectors know is exactly what was handed on:
not a record more, not one less. In that moment the journal puts behind these records what has changed of the state, and
then a border. From there on the order does the rest, through a spool and over an outage, too: a sink that commits what
is between two borders as one transaction has committed, with the state, exactly the records that it speaks of.

Where the sink has no transactions (at least once), there is no border: the state is taken in such a moment, but put
only once every record that it speaks of is acknowledged. It may then be behind the records, never ahead of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from k2conn.clock import wall_ms, wall_us
from k2conn.engine.accounting.ledger import Account
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.state_parts import StateParts, connector_of, taken_in
from k2conn.envelope import Envelope
from k2conn.errors import SinkError
from k2conn.runner.event_log import get_logger
from k2conn.sinks import JournalSink, putter
from k2conn.sinks.journal import (
    Border,
    JournalEntries,
    JournalSettings,
    began_key,
    border_key,
    border_value,
    entry,
    owner_value,
)

LOOK_EVERY, SOON = 0.05, 0.001
"""Seconds between two looks whether a state is safe by now, or whether what an earlier process left has gone out; at
first less, because mostly it left nothing.
"""
PATIENCE = 2.0
"""Seconds after which it is said that a start waits for that."""


class JournaledConnector(Protocol):
    """A connector, as far as its state is concerned."""

    connector_state: ConnectorState

    def look_for_gaps(self) -> None:
        """Publishes the gaps that are due, and those that are closed."""


class StateJournal:
    """``sink`` reads back what earlier processes kept. ``connectors`` are those at work now."""

    def __init__(
        self,
        settings: JournalSettings,
        sink: JournalSink,
        connectors: Callable[[], Sequence[JournaledConnector]],
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._put_all = putter(sink)
        self._connectors = connectors
        self._entries: dict[str, JournalEntries] = {}
        self._parts: dict[str, StateParts] = {}
        self._held: set[str] = set()
        self._number = 0
        self._taken: list[Envelope] | None = None
        """The state that waits to be safe."""
        self._required: list[tuple[Account, int]] = []
        self._log = get_logger()

    @property
    def atomic(self) -> bool:
        """Whether records and state are committed together."""
        return self._settings.atomic

    async def begin(self) -> None:
        """Lets go out what an earlier process left in the spool, and then reads what is kept. Raises what the sink
        does, Unreachable, or SinkError for a state that cannot be read.
        """
        if self.atomic:
            unit = self._settings.unit
            self._put_all([self._entry(began_key(unit), owner_value(self._settings.incarnation))])
            await self._gone_out()
        entries: defaultdict[str, JournalEntries] = defaultdict(list)
        for key, value in await self._sink.read_journal():
            name = connector_of(key)
            if name is not None:
                entries[name].append((key, value))
        self._entries = dict(entries)

    async def _gone_out(self) -> None:
        waited, pause = 0.0, SOON
        while self._sink.status()["queued"]:
            if self._sink.crowded:
                await self._sink.drain()
            await asyncio.sleep(pause)
            waited += pause
            if waited - pause < PATIENCE <= waited:
                self._log.info("what an earlier process left goes out first")
            pause = min(2 * pause, LOOK_EVERY)

    def take_in(self, connector: JournaledConnector) -> None:
        """A connector begins with what was kept of it, or goes on in the place of another one of its name. SinkError
        where what was kept cannot be read.
        """
        state = connector.connector_state
        name = state.plan.name
        known = self._parts.get(name)
        if known is not None:
            known.follow(state)
            return
        try:
            pages = taken_in(state, self._entries.pop(name, ()), wall_us())
        except ValueError as error:
            raise SinkError(f"the state of {name} in topic {self._settings.topic} cannot be used: {error}") from None
        self._parts[name] = StateParts(state, pages)

    def hold(self, name: str) -> None:
        """From now on nothing new is kept of a connector: of what it read, some was not taken."""
        self._held.add(name)

    async def keep(self) -> None:
        """Keeps the state until cancelled."""
        now = asyncio.get_running_loop().time
        due = now() + self._settings.every
        while True:
            await asyncio.sleep(max(0.0, due - now()) if self.atomic else LOOK_EVERY)
            if self.atomic:
                self.border()
            else:
                self._look(now() >= due)
            if now() >= due:
                due = max(due + self._settings.every, now())

    def border(self) -> None:
        """All that was handed on by now is committed together, with the state as it is."""
        for connector in self._connectors():
            connector.look_for_gaps()
        entries = list(self._changes())
        self._number += 1
        border = Border(self._settings.incarnation, self._number)
        self._put_all([*entries, self._entry(border_key(self._settings.unit), border_value(border))])

    def _changes(self) -> Iterator[Envelope]:
        for connector in self._connectors():
            parts = self._parts.get(connector.connector_state.plan.name)
            if parts is not None and connector.connector_state.plan.name not in self._held:
                for key, value in parts.changes():
                    yield self._entry(key, value)

    def _entry(self, key: list[Any], value: Any) -> Envelope:
        return entry(self._settings.topic, key, value, wall_ms())

    # -- at least once

    def _look(self, due: bool) -> None:
        """Takes the state when it is time, puts it when it is safe."""
        if self._taken is None and due:
            self._take()
        if self._taken is not None and self._safe():
            self._put()

    def _take(self) -> None:
        states = [connector.connector_state for connector in self._connectors()]
        self._taken = list(self._changes())
        self._required = [
            (one, one.received - one.duplicates) for state in states for one in state.ledger.accounts()
        ]

    def _safe(self) -> bool:
        """Whether all that was under way when the state was taken is acknowledged: what is on the disk of this machine
        only, the next process need not find.
        """
        return all(one.published + one.dead_letters + one.lost >= count for one, count in self._required)

    def _put(self) -> None:
        if self._taken:
            self._put_all(self._taken)
        self._taken, self._required = None, []

    # -- the end

    async def finish(self) -> None:
        """The last state, once the sink has been flushed (at least once): it is to be flushed again."""
        if self._taken is not None and not self._safe():
            return  # what was taken since is on top of it, and nothing may be ahead
        self._put()
        self._take()
        if self._safe():
            self._put()
