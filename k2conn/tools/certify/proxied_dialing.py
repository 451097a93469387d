"""An event loop whose connections can be led elsewhere, whatever address they ask for.

A Kafka broker tells its clients where it is to be reached, so a proxy that is named as bootstrap server is left after
the first question. Here a task, and every task it starts, can have a *way*: it is asked for each connection, and says
where to connect instead. Nothing above the loop knows of it, and under TLS the name to verify stays the broker's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

Reroute = Callable[[str, int], Awaitable[tuple[str, int]]]
"""Host and port that are asked for -> host and port to connect to."""

reroute: ContextVar[Reroute | None] = ContextVar("way", default=None)
"""The way of the present task and those it starts."""


class ProxiedEventLoop(asyncio.SelectorEventLoop):
    """The event loop, with detours."""

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **given: Any) -> Any:
        """As the loop's own, on the present task's way."""
        own = reroute.get()
        if own is None or host is None:
            return await super().create_connection(protocol_factory, host, port, **given)
        token = reroute.set(None)  # the proxy's own connections take none
        try:
            place = await own(host, int(port))
        finally:
            reroute.reset(token)
        if given.get("ssl"):
            given["server_hostname"] = given.get("server_hostname") or host
        return await super().create_connection(protocol_factory, *place, **given)
