"""The sink as connectors use it: they share it, so that a bug of it is nobody's but its own.

What the sink raises is told to the runner, which ends the run in order (see `k2conn.runner.runner`); a bug anywhere
else on a connector's way only stops that connector. Timers and callbacks that the sink makes while it is called belong
to it as well: it is called outside of the context by which those of a connector are known (see `OWNER`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol

from k2conn.envelope import Envelope
from k2conn.sinks import Sink, putter


class Owner(Protocol):
    """A connector, as far as its timers and callbacks are concerned."""

    def fail(self, bug: Exception) -> bool:
        """See `k2conn.runner.connector.Connector.fail`."""


OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)
"""The connector whose task, timer or callback runs; None for those of shared parts."""


def owner_of(handle: Any) -> Owner | None:
    """Whose callback of the event loop a handle is, asked in the loop's exception handler."""
    # uvloop calls that in the callback's own context; asyncio's handle knows it (from Python 3.12 on both hold).
    context: Context | None = getattr(handle, "_context", None)
    return OWNER.get() if context is None else context.get(OWNER, None)


class SharedSink:
    """``failed`` is told what the sink raised. To be made where no connector runs."""

    def __init__(self, sink: Sink, failed: Callable[[Exception], None]) -> None:
        self._sink = sink
        self._put_all = putter(sink)
        self._failed = failed
        self._context = copy_context()

    def publish(self, envelopes: list[Envelope]) -> bool:
        """Hands envelopes to the sink; true where it is crowded, and nothing more is to be read before `relief`."""
        try:
            self._context.run(self._put_all, envelopes)
            return self._sink.crowded
        except Exception as error:
            self._failed(error)
            raise

    async def relief(self) -> None:
        """Waits until the sink has room."""
        try:
            await asyncio.create_task(self._sink.drain(), context=self._context.copy())
        except Exception as error:
            self._failed(error)
            raise
