"""What a venue lists anew is subscribed on the open connections, where all symbols are asked for, or where one was
refused because the list did not have it. What is no longer listed goes on: the venue ends it.
"""

from __future__ import annotations

from k2conn.errors import K2Error
from k2conn.runner.connector import Connector
from k2conn.runner.event_log import get_logger
from k2conn.runner.symbol_change import SymbolChange

_LOOK = 0.5
"""Seconds between two looks whether the list was read again."""
_WITHIN = 60.0
"""Seconds in which new symbols are to be subscribed."""


async def follow_list(connector: Connector) -> None:
    """Subscribes what is listed anew, until the connector stops."""
    directory = connector.connector_state.symbols
    seen = directory.revision
    while not await connector.stopped(_LOOK):
        if directory.revision != seen and connector.changeable:
            seen = directory.revision
            async with connector.changing_symbols:
                await _subscribe_new(connector)


async def _subscribe_new(connector: Connector) -> None:
    log = get_logger(connector=connector.plan.name)
    known = [symbol for supervisor in connector.supervisors for symbol in supervisor.shard.symbols]
    natives = {symbol.native for symbol in known}
    try:
        added = [symbol for symbol in connector.wanted(connector.job).symbols if symbol.native not in natives]
        if not added:
            return
        change = SymbolChange(connector, connector.job, [*dict.fromkeys(known), *added])
        if (reason := await change.prepare()) is not None:
            log.warning("new symbols of the venue's list are not subscribed", symbols=len(added), reason=reason)
            return
        done = await change.make(_WITHIN)
    except K2Error as error:
        log.warning("new symbols of the venue's list are not subscribed", detail=str(error))
        return
    words = {"added": list(change.added[:20]), "symbols": len(change.added), "sockets_opened": change.opened}
    (log.info if done else log.warning)("the venue lists new symbols", subscribed=done, **words)
