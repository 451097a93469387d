"""Records what was sent and what was certainly read, for proofs that nothing was lost.

A frame that was written to a socket may still be lost with the connection. So after its data the exchange sends
WebSocket pings: a pong confirms that everything before it was read. Frames that no pong confirms before the connection
ends are *in doubt*.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from k2conn.plan import Connection
from k2conn.tools.mock.connection import Key
from k2conn.tools.mock.frame_generator import GeneratedFrame
from k2conn.tools.mock.served_exchange import MockSocket


@dataclass(slots=True)
class SentFrame:
    """One sent frame. ``key`` None: not data of a stream. ``frame`` None: not kept. ``broken``: it was sent so that it
    cannot be decoded.
    """

    key: Key | None
    ids: tuple[str, ...]
    frame: str | bytes | None
    broken: bool = False
    shared: Mapping[str, tuple[str, ...]] | None = None
    """The ids by stream, where it is data of several."""

    def ids_by_stream(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of its items by the streams that it is data of."""
        return self.shared or ({} if self.key is None else {self.key[0]: self.ids})


@dataclass(slots=True)
class ClientSession:
    """One client's connection: the connection of the plan, and the frames sent on it in order."""

    connection: Connection
    keeps_frames: bool = True
    frames: list[SentFrame] = field(default_factory=list)
    confirmed: int = 0
    """How many of the frames the client has certainly read."""
    _fence: asyncio.Task[None] | None = None

    def confirmed_frames(self) -> list[SentFrame]:
        """The frames that the client has certainly read."""
        return self.frames[: self.confirmed]

    def unconfirmed_frames(self) -> list[SentFrame]:
        """The frames that may have been lost with the connection."""
        return self.frames[self.confirmed :]

    def note(self, sent: SentFrame, socket: MockSocket) -> None:
        """Records a frame that is about to be sent, and has it confirmed by a ping."""
        if not self.keeps_frames and not sent.broken:
            sent.frame = None
        self.frames.append(sent)
        if self._fence is None or self._fence.done():
            self._fence = asyncio.create_task(self._confirm(socket))

    async def _confirm(self, socket: MockSocket) -> None:
        await asyncio.sleep(0)
        while self.confirmed < len(self.frames):
            upto = len(self.frames)
            try:
                await (await socket.ping())
            except ConnectionClosed:
                return
            self.confirmed = upto

    @property
    def waits(self) -> bool:
        """Whether frames on an open connection are not confirmed yet."""
        return self._fence is not None and not self._fence.done()

    def stop(self) -> None:
        """The connection has ended."""
        if self._fence is not None:
            self._fence.cancel()


class SentFrames:
    """All connections of one exchange, and what was generated but never sent.

    ``frames``: keep them, not only the ids in them.
    """

    def __init__(self, frames: bool = True) -> None:
        self.keeps_frames = frames
        self.client_sessions: list[ClientSession] = []
        self.withheld: dict[Key, list[GeneratedFrame]] = {}
        """Left out on purpose (`skip_every`)."""
        self.missed: dict[Key, list[GeneratedFrame]] = {}
        """Generated while no client was connected."""

    def client_session(self, connection: Connection) -> ClientSession:
        """Starts the record of a new client."""
        client_session = ClientSession(connection, self.keeps_frames)
        self.client_sessions.append(client_session)
        return client_session

    def frames(self) -> Iterator[tuple[ClientSession, SentFrame, bool]]:
        """All frames of all connections, with whether they were certainly read."""
        for client_session in self.client_sessions:
            for at, sent in enumerate(client_session.frames):
                yield client_session, sent, at < client_session.confirmed

    def all_so_far(self) -> Callable[[], bool]:
        """Whether all that was sent until now on connections that are open is confirmed: for who asks later."""
        until = [(one, len(one.frames)) for one in self.client_sessions if one.confirmed < len(one.frames)]
        return lambda: all(one.confirmed >= count or not one.waits for one, count in until)

    @property
    def settled(self) -> bool:
        """Whether all frames sent on open connections are confirmed."""
        return not any(client_session.waits for client_session in self.client_sessions)
