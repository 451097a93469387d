"""An event loop that can redirect outgoing connections to another address.

A Kafka broker tells its clients its own address, so a client stops using a proxy after the bootstrap request. Here a
task, and every task it starts, can have a *reroute* function, which is called for each connection and returns the
address to connect to instead. The code above the loop does not notice, and TLS still verifies the broker's own name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

Reroute = Callable[[str, int], Awaitable[tuple[str, int]]]
"""(host, port) requested -> (host, port) to connect to."""

reroute: ContextVar[Reroute | None] = ContextVar("reroute", default=None)
"""The reroute function of the current task and the tasks it starts."""


class ProxiedEventLoop(asyncio.SelectorEventLoop):
    """The event loop, with redirected connections."""

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **given: Any) -> Any:
        """As the loop's own method, but to the address that the task's reroute function returns."""
        own = reroute.get()
        if own is None or host is None:
            return await super().create_connection(protocol_factory, host, port, **given)
        token = reroute.set(None)  # the proxy's own connections are not redirected
        try:
            place = await own(host, int(port))
        finally:
            reroute.reset(token)
        if given.get("ssl"):
            given["server_hostname"] = given.get("server_hostname") or host
        return await super().create_connection(protocol_factory, *place, **given)
