"""Which symbols go to which socket: by a venue's limits on symbols and topics, or one socket a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k2conn.plan import Connection, Plan, Scope, Stream, Symbol


@dataclass(frozen=True, slots=True)
class Shard:
    """One socket to be: a connection of the plan and the symbols it carries."""

    connection: Connection
    symbols: tuple[Symbol, ...]
    number: int
    leg: int = 0
    """Which of the sockets with the same subscriptions, where there are several (`replicas`)."""

    @property
    def name(self) -> str:
        """The socket's name in logs and metrics: connection, number, and leg where there are several."""
        leg = f".{self.leg}" if self.connection.replicas > 1 else ""
        return f"{self.connection.name}-{self.number}{leg}"


def shards(plan: Plan, streams: Sequence[Stream], symbols: Sequence[Symbol]) -> tuple[Shard, ...]:
    """All sockets of one connector."""
    found: list[Shard] = []
    for connection in plan.connections:
        own = [stream for stream in streams if stream.name in connection.streams]
        wanted = [symbol for symbol in symbols if _wanted(connection, symbol)]
        if not own or not wanted:
            continue
        size = _size(connection, own, len(wanted))
        for number, at in enumerate(range(0, len(wanted), size)):
            carried = tuple(wanted[at : at + size])
            found += [Shard(connection, carried, number, leg) for leg in range(connection.replicas)]
    return tuple(found)


def _wanted(connection: Connection, symbol: Symbol) -> bool:
    if connection.symbols is None:
        return True
    return connection.symbols.condition({**symbol._asdict(), **dict(symbol.parts)}, Scope())


def _size(connection: Connection, streams: Sequence[Stream], wanted: int) -> int:
    """Symbols a socket may carry."""
    if connection.per_symbol:
        return 1
    size = connection.limits.symbols or wanted
    if connection.limits.topics is not None:
        size = min(size, connection.limits.topics // max(1, len(streams)))
    return max(1, min(size, wanted))
