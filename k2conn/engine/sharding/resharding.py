"""Changing the symbols of running sockets: which socket gets which, and whether the venue allows it.

Symbols stay on their socket. New ones take the slots that are free or become free, in the order of the sockets; a new
socket is only opened where no slot is left, and a socket without symbols is closed. So where one socket carries all
symbols the result is the same as after a restart; where there are several, there may be more of them, less evenly
filled.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from k2conn.engine.sharding.shards import Shard, carries, places
from k2conn.plan import Connection, Plan, Step, Stream, Symbol

_NAMED = re.compile(r"\$(?:symbol|topic)s?\b(?!\.)|\$symbols?\.(?:native|lower|upper|record)\b")
"""Variables whose value is different for every symbol (or topic)."""
_PARTS = ("$symbol.base", "$symbol.quote")
"""Variables that are so only together."""


@dataclass(frozen=True, slots=True)
class Resharding:
    """How the shards of running sockets change."""

    kept: tuple[tuple[Shard, Shard], ...]
    """Pairs of (before, after); most are equal."""
    gone: tuple[Shard, ...]
    new: tuple[Shard, ...]

    @property
    def changed(self) -> list[tuple[Shard, Shard]]:
        """Kept shards whose symbols change."""
        return [(before, after) for before, after in self.kept if before.symbols != after.symbols]


def resharded(
    plan: Plan, streams: Sequence[Stream], symbols: Sequence[Symbol], running: Sequence[Shard]
) -> Resharding:
    """How the ``running`` shards of a connector have to change for ``symbols``."""
    kept: list[tuple[Shard, Shard]] = []
    gone: list[Shard] = []
    new: list[Shard] = []
    for connection in plan.connections:
        own = [stream for stream in streams if stream.name in connection.streams]
        held = [shard for shard in running if shard.connection.name == connection.name]
        wanted = [symbol for symbol in symbols if own and carries(connection, symbol)]
        to_be = _spread(connection, own, wanted, {shard.number: shard.symbols for shard in held})
        for shard in held:
            carried = to_be[shard.number]
            if carried:
                kept.append((shard, replace(shard, symbols=carried)))
            else:
                gone.append(shard)
        for number in to_be.keys() - {shard.number for shard in held}:
            new += [Shard(connection, to_be[number], number, replica) for replica in range(connection.replicas)]
    return Resharding(tuple(kept), tuple(gone), tuple(new))


def _spread(
    connection: Connection, streams: Sequence[Stream], wanted: Sequence[Symbol],
    held: dict[int, tuple[Symbol, ...]],
) -> dict[int, tuple[Symbol, ...]]:
    """The symbols of each socket, by number; an empty tuple for one to close. ``held`` is what each carries now."""
    order = {symbol.native: at for at, symbol in enumerate(wanted)}
    found = {
        number: [symbol for symbol in symbols if symbol.native in order] for number, symbols in sorted(held.items())
    }
    known = {symbol.native for symbols in found.values() for symbol in symbols}
    fresh = [symbol for symbol in wanted if symbol.native not in known]
    most = places(connection, streams) or len(wanted)
    for number, symbols in found.items():
        taken = len(symbols) if connection.per != "symbol" else most
        if not _replies_identify_requests(connection):
            taken = max(taken, len(held[number]))
        room = max(0, most - taken)
        symbols += fresh[:room]
        fresh = fresh[room:]
    number = 0
    while fresh:
        while number in found:
            number += 1
        found[number], fresh = fresh[:most], fresh[most:]
    for symbols in found.values():
        symbols.sort(key=lambda symbol: order[symbol.native])
    return {
        number: held[number] if set(symbols) == set(held.get(number, ())) else tuple(symbols)
        for number, symbols in found.items()
    }


def _replies_identify_requests(connection: Connection) -> bool:
    """Whether each reply identifies its request. Else nothing is unsubscribed before all requests are answered, and the
    slots of removed symbols become free too late to be used.
    """
    expected = [step.expect for step in connection.steps if step.streams and step.expect is not None]
    return all(one.first_data or one.reply_to or one.symbol or one.topic for one in expected)


def obstacle(connection: Connection, streams: Sequence[Stream]) -> str | None:
    """Why an open connection cannot change its symbols, in words; None where it can.

    ``streams`` are those that run. A frame that subscribes is not enough: only where single symbols can also be
    unsubscribed is it certain that a new subscription does not replace the earlier ones.
    """
    if connection.per == "symbol":
        return "each of its sockets is for one symbol"
    if connection.url_uses_topics:
        return "its address names the symbols"
    own = {stream.name for stream in streams if stream.name in connection.streams}
    steps = [step for step in connection.steps if own & set(step.streams)]
    for name in sorted(own):
        if not any(name in step.streams for step in steps):
            return f"no step subscribes {name}"
    return next((reason for step in steps if (reason := _obstacle(step)) is not None), None)


def _obstacle(step: Step) -> str | None:
    if not named(step.text):
        return f"'{step.name}' does not name the symbols"
    if step.undo is None:
        return f"'{step.name}' has no undo"
    if not named(step.undo_text):
        return f"the undo of '{step.name}' does not name the symbols"
    return None


def named(text: str) -> bool:
    """Whether a frame template renders differently for each symbol."""
    return _NAMED.search(text) is not None or all(part in text for part in _PARTS)


def refused(plan: Plan, streams: Sequence[Stream], found: Resharding) -> str | None:
    """Why running sockets cannot be changed in this way, in words; None where they can."""
    for before, _ in found.changed:
        reason = obstacle(before.connection, streams)
        if reason is not None:
            return f"{before.connection.name}: {reason}"
    for connection in plan.connections:
        most = connection.limits.connections
        shards = [shard for shard in (*(after for _, after in found.kept), *found.new)
                  if shard.connection.name == connection.name]
        if most is not None and len(shards) > most:
            return f"{connection.name}: {len(shards)} sockets, the venue allows {most}"
    if not found.kept and not found.new:
        return "none of its connections carries these symbols"
    return None
