"""A connector's state file: what the next process must know, and nothing that is not durable yet.

A snapshot is taken every few seconds, but written only when all records that had been received by then are safe
(durable in the sink, or in the spool). A state ahead of the sink would make the next process take lost records for
repeats; so the file may be some seconds behind the sink, never ahead. It is replaced as a whole (written beside, fsync,
renamed).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.clock import wall_us
from k2conn.engine.accounting.ledger import Account
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.persisted_state import kept, resume
from k2conn.files import check_folder, read_own, set_aside, write_whole
from k2conn.runner.event_log import get_logger

EVERY = 5.0
"""Seconds between two states."""
LARGEST = 64 * 1024 * 1024
VALUES = 4_000_000
"""Brackets and commas in a state file: what it becomes in memory is bounded by these."""
DETAIL = 200
"""Characters of a reason that are logged."""


def read_state(path: Path) -> Any:
    """What a state file says, not yet checked. FileNotFoundError where there is none; OSError or ValueError where it
    cannot be used.
    """
    data = read_own(path, LARGEST)
    if sum(data.count(one) for one in (b"[", b"{", b",")) > VALUES:
        raise ValueError(f"it has more than {VALUES} values")
    return exactjson.decode(data)


def why(error: Exception) -> str:
    """Why a state file cannot be used, for the log."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return reason[:DETAIL].encode("ascii", "backslashreplace").decode()


class StateFile:
    """One connector's file in the state folder."""

    def __init__(self, folder: Path, connector_state: ConnectorState) -> None:
        self.path = folder / f"{connector_state.plan.name}.json"
        self._connector_state = connector_state
        self._log = get_logger(connector=connector_state.plan.name)
        self._taken: bytes | None = None
        """The state that waits to be safe."""
        self._required: list[tuple[Account, int]] = []
        """How many records of each account must be settled before."""
        self._written: bytes | None = None
        self._unusable = False
        """Whether there is a file that could not be used."""
        self._next = 0.0
        self._held = False
        self._writing: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Takes in what an earlier process kept; a file that cannot be used is logged, and set aside before another
        one is written.
        """
        try:
            resume(self._connector_state, read_state(self.path), wall_us())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._unusable = True
            self._log.warning("state file ignored", file=str(self.path), detail=why(error))

    def look(self, now: float) -> None:
        """Takes the state when it is time, starts writing it when it is safe; never waits. ``now`` is monotonic."""
        if self._writing is not None and not self._writing.done():
            return
        if self._taken is None and now >= self._next:
            self._take()
            self._next = now + EVERY
        if self._taken is not None and self._safe():
            data, self._taken = self._taken, None
            self._writing = asyncio.create_task(asyncio.to_thread(self._write, data))

    def hold(self) -> None:
        """From now on nothing new is kept: of what was read, some was not taken, and the next process must not take it
        for repeats.
        """
        self._held = True

    async def finish(self) -> None:
        """The last state, once the sink has been flushed: the latest where all is safe, else the one before."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        before, required = self._taken, self._required
        self._take()
        if not self._safe():
            self._taken, self._required = before, required
        if self._taken is not None and self._safe():
            self._write(self._taken)

    def _take(self) -> None:
        if self._held:
            return
        self._taken = exactjson.encode(kept(self._connector_state))
        self._required = [(one, one.received - one.duplicates) for one in self._connector_state.ledger.accounts()]

    def _safe(self) -> bool:
        """Whether all that was under way when the state was taken is safe by now. A symbol's records are settled in
        order.
        """
        return all(one.published + one.dead_letters + one.lost + one.spooled >= count for one, count in self._required)

    def _write(self, data: bytes) -> None:
        if data == self._written:
            return
        if len(data) > LARGEST:
            self._log.error("state not written", file=str(self.path), detail=f"it has {len(data)} bytes")
            return
        try:
            if self._unusable:
                check_folder(self.path.parent, link=True)
                self._log.warning("state file set aside", file=str(self.path), kept_as=set_aside(self.path).name)
                self._unusable = False
            write_whole(self.path, data)
            self._written = data
        except OSError as error:
            self._log.error("state not written", file=str(self.path), detail=error.strerror or str(error))
