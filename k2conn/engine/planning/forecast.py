"""The load that a connector will put on the venue: sockets, frames, bytes, and the time that its rate limit costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k2conn.engine.conversation.request_frames import RequestFrame, shown, step_frames
from k2conn.engine.conversation.session import SessionContext, subscriptions_for
from k2conn.engine.sharding.shards import Shard, shards
from k2conn.errors import K2Error
from k2conn.hosts import host_of
from k2conn.plan import Connection, Plan, SendScope, Step, Stream, Symbol

_UUID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class SocketForecast:
    """One socket: what it carries and what is sent on it. ``seconds`` is the minimum time that subscribing takes."""

    shard: Shard
    subscriptions: int
    frames: tuple[str, ...]
    seconds: float
    later: tuple[str, ...] = ()
    """Steps whose frames need values that only a live connection has: captured ones."""

    @property
    def largest(self) -> int:
        """Bytes of the largest frame."""
        return max((len(frame.encode()) for frame in self.frames), default=0)


def forecast(plan: Plan, streams: Sequence[Stream], symbols: Sequence[Symbol]) -> tuple[SocketForecast, ...]:
    """A forecast for each socket of a connector."""
    return tuple(_socket(plan, shard, streams) for shard in shards(plan, streams, symbols))


def by_their_names(plan: Plan) -> dict[str, str]:
    """What stands for the values of environment variables where frames are only shown: `$env.NAME`."""
    return {one.name: f"$env.{one.name}" for one in plan.variables}


def shown_scope(environment: Mapping[str, str]) -> SendScope:
    """What frames are made of that are only shown: nothing in them is secret, and a signature is its word."""
    return SendScope(lambda: 0, lambda: _UUID, 0, {}, environment, sign=lambda _: "$signature")


def broken_limits(plan: Plan, sockets: Sequence[SocketForecast]) -> list[str]:
    """Which declared limits of the venue a run would exceed, in words."""
    found: list[str] = []
    for connection in plan.connections:
        own = [socket for socket in sockets if socket.shard.connection is connection]
        limits = connection.limits
        counted = sum(_counts_together(connection, socket.shard.connection) for socket in sockets)
        if limits.connections is not None and counted > limits.connections:
            found.append(f"{connection.name}: {counted} sockets, the venue allows {limits.connections}")
        if limits.connect is not None and counted > limits.connect.count:
            found.append(f"{connection.name}: {counted} sockets, the venue allows {limits.connect.count} connects in"
                         f" {limits.connect.seconds:g} s")
        for socket in own:
            if limits.frame is not None and socket.largest > limits.frame:
                large = f"a frame of {socket.largest} bytes, the venue allows {limits.frame}"
                found.append(f"{connection.name}: {large}")
            if limits.topics is not None and socket.subscriptions > limits.topics:
                many = f"{socket.subscriptions} topics on a socket, the venue allows {limits.topics}"
                found.append(f"{connection.name}: {many}")
    return found


def _counts_together(connection: Connection, other: Connection) -> bool:
    """Whether a venue counts another kind of connection as one of these."""
    if other is connection:
        return True
    host = host_of(connection.url_texts[0])
    return connection.limits.per == "ip" and bool(host) and host == host_of(other.url_texts[0])


def _socket(plan: Plan, shard: Shard, streams: Sequence[Stream]) -> SocketForecast:
    connection = shard.connection
    own = [stream for stream in streams if stream.name in connection.streams]
    names = by_their_names(plan)
    wanted = subscriptions_for(connection, own, shard.symbols, SessionContext(lambda: _UUID, names))
    numbers = iter(range(1, 10_000_000))
    scope = shown_scope(names)
    frames: list[RequestFrame] = []
    later: list[str] = []
    pause = 0.0
    for step in connection.steps:
        mine = [one for one in wanted if one.stream in step.streams]
        if step.streams and not mine:
            continue
        try:
            made = step_frames(step, mine, scope, lambda: next(numbers), connection.limits.frame)
        except K2Error:
            later.append(_name(step))
            continue
        frames += [frame for frame in made if frame.body]
        pause += step.pause * max(0, len(made) - 1)
    rate = connection.limits.send
    throttled = (len(frames) - 1) // rate.count * rate.seconds if rate and frames else 0.0
    texts = tuple(shown(frame.body) for frame in frames)
    return SocketForecast(shard, len(wanted), texts, max(pause, throttled), tuple(later))


def _name(step: Step) -> str:
    return step.name or step.text[:60]
