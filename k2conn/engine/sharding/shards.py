"""Which symbols go to which socket: by a venue's limits on symbols and topics, or one socket for each symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k2conn.plan import Connection, Plan, Stream, Symbol
from k2conn.scope import Scope


@dataclass(frozen=True, slots=True)
class Shard:
    """One socket to open: a connection of the plan and the symbols it carries."""

    connection: Connection
    symbols: tuple[Symbol, ...]
    number: int
    replica: int = 0
    """The number of the replica among sockets with the same subscriptions (`replicas`)."""

    @property
    def name(self) -> str:
        """Its name in logs and metrics: connection, number, and replica where there are several."""
        replica = f".{self.replica}" if self.connection.replicas > 1 else ""
        return f"{self.connection.name}-{self.number}{replica}"


def shards(plan: Plan, streams: Sequence[Stream], symbols: Sequence[Symbol]) -> tuple[Shard, ...]:
    """All sockets of one connector."""
    found: list[Shard] = []
    for connection in plan.connections:
        own = [stream for stream in streams if stream.name in connection.streams]
        wanted = [symbol for symbol in symbols if carries(connection, symbol)]
        if not own or not wanted:
            continue
        size = places(connection, own) or len(wanted)
        for number, at in enumerate(range(0, len(wanted), size)):
            carried = tuple(wanted[at : at + size])
            found += [Shard(connection, carried, number, replica) for replica in range(connection.replicas)]
    return tuple(found)


def carries(connection: Connection, symbol: Symbol) -> bool:
    """Whether a connection carries a symbol."""
    if connection.symbols is None:
        return True
    return connection.symbols.condition({**symbol._asdict(), **dict(symbol.parts)}, Scope())


def places(connection: Connection, streams: Sequence[Stream]) -> int | None:
    """Symbols that a socket with these streams may carry; None for any number."""
    if connection.per == "symbol":
        return 1
    bounds = [connection.limits.symbols] if connection.limits.symbols is not None else []
    if connection.limits.topics is not None:
        bounds.append(connection.limits.topics // max(1, len(streams)))
    return max(1, min(bounds)) if bounds else None
