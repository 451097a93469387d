"""A venue's instrument list kept current: fetched before the first connect where it says what names mean, beside it
where it is only compared with, and again as often as the file says.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from k2conn.clock import wall_us
from k2conn.engine.instrument_list import learn
from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError, SettingsError, TransportError
from k2conn.net.destinations import Destinations
from k2conn.net.http import in_thread
from k2conn.plan import Backoff, InstrumentList, SendScope
from k2conn.runner.event_log import get_logger
from k2conn.runner.http_requests import check_call
from k2conn.runner.list_pages import ListAnswer, read_list
from k2conn.runner.overrides import Overrides
from k2conn.runner.saved_list import read_saved

ONCE_MORE = 1
"""Further attempts before a connector whose symbols its rules can read goes on without the list: whatever its venue
sends meanwhile is missed.
"""


class InstrumentRefresh:
    """One connector's list."""

    def __init__(
        self, connector: str, listing: InstrumentList, symbols: SymbolDirectory, overrides: Overrides,
        environment: Mapping[str, str], destinations: Destinations | None = None,
        failed: Callable[[], None] = lambda: None, saw: Callable[[Any], None] = lambda answer: None,
    ) -> None:
        """``failed`` is called for each call that does, ``saw`` is told of each answer."""
        self._saw = saw
        self._connector = connector
        self._symbols = symbols
        self._listing = listing
        self._overrides = overrides
        self._environment = environment
        self._destinations = destinations
        self._failed = failed
        self._log = get_logger(connector=connector)
        self._read = False
        """Whether it ever was."""

    def check(self) -> None:
        """Raises MissingVariable for a variable that the call needs, SettingsError where the proxy, or the file that is
        read instead, cannot be used.
        """
        if self._overrides.instruments is not None:
            read_saved(self._connector, self._listing, self._overrides.instruments)
            return
        with suppress(RecordError, TransportError):  # a value that is only there later
            for request in self._listing.requests:
                check_call(request, self._scope(), self._overrides, self._destinations)

    async def first(self, enough: Callable[[], bool], again: int = ONCE_MORE) -> None:
        """Waits for the list; goes on without it where it was not there, nor ``again`` times after that, and ``enough``
        says that symbols can be read.
        """
        delays = BackoffDelays(Backoff(), random.random)
        while not await self._fetch():
            if delays.attempts >= again and enough():
                self._log.warning("going on without the venue's instrument list", names="read by the connector file")
                return
            await asyncio.sleep(delays.next())

    async def keep(self) -> None:
        """Fetches the list again and again; returns where the file names no period. One that nobody has waited for, or
        has waited for in vain, is fetched now.
        """
        if not self._read:
            await self.first(lambda: False)
        while self._listing.refresh:
            await asyncio.sleep(self._listing.refresh)
            await self._fetch()

    async def once(self) -> int:
        """Fetches the list, and says how many instruments it names. Raises TransportError, RecordError,
        SettingsError.
        """
        answer, cut = await self._answer()
        self._saw(answer)
        before, rows = self._symbols.passed_over, learn(self._listing, answer, self._symbols)
        while True:
            try:
                next(rows)
            except StopIteration as end:
                count: int = end.value
                break
            await asyncio.sleep(0)
        if cut:
            self._log.warning("the instrument list has more pages than are read", instruments=count)
        if passed := self._symbols.passed_over - before:
            self._log.warning("instruments passed over: too many, or with too long names", instruments=passed)
        return count

    async def _answer(self) -> ListAnswer:
        """What the venue says, or what is in the file that the user names in its place."""
        if self._overrides.instruments is None:
            return await read_list(self._listing, self._scope(), self._overrides, self._destinations)
        path = self._overrides.instruments
        answers = await in_thread(lambda: read_saved(self._connector, self._listing, path))
        return ListAnswer(answers if self._listing.in_parts else answers[0])

    async def _fetch(self) -> bool:
        try:
            count = await self.once()
        except (TransportError, RecordError, SettingsError) as error:
            self._failed()
            self._log.warning("instrument list not read", detail=str(error))
            return False
        self._log.info("instrument list read", instruments=count)
        self._read = True
        return True

    def _scope(self) -> SendScope:
        return SendScope(lambda: 0, lambda: str(uuid.uuid4()), wall_us(), {}, self._environment)
