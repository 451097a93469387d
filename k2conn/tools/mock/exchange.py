"""A mock exchange: the clients, subscriptions and counts of one connector's venue."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from k2conn import exactjson
from k2conn.clock import monotonic, wall_ms, wall_us
from k2conn.ending_tasks import end_tasks
from k2conn.plan import Connection, Json, Plan
from k2conn.tools.mock.byte_socket import as_received
from k2conn.tools.mock.connection import FrameSource, Key, MockConnection
from k2conn.tools.mock.faults import GARBAGE, Faults, corrupted
from k2conn.tools.mock.frame_generator import GeneratedFrame, PriceWalk
from k2conn.tools.mock.frame_templates import encoded
from k2conn.tools.mock.handshake import handshake_refusal
from k2conn.tools.mock.request_recognition import PING, UNKNOWN, RequestedSubscription, VenueSymbols, read
from k2conn.tools.mock.sent_frames import ClientSession, SentFrame, SentFrames
from k2conn.tools.mock.served_exchange import Listening, MockSocket
from k2conn.tools.mock.server import MockServer
from k2conn.tools.mock.template_matching import FrameShape, MatchCapture

_KEPT = 10_000
"""Frames of clients that are kept."""
_CATCH_UP = 1.0
"""Seconds of data that are caught up after a pause."""


class Client:
    """One client's connection."""

    def __init__(self, socket: MockSocket, mock_connection: MockConnection) -> None:
        self.socket = socket
        self.mock_connection = mock_connection
        self.subscribed: dict[Key, RequestedSubscription] = {}
        self.data = 0
        """Data frames sent to it."""
        self.received: deque[Json] = deque(maxlen=_KEPT)
        self.awaited: list[FrameShape] = []
        """The expected answers to our own pings."""
        self.frozen = False
        """Whether the connection is half-open: not closed, but nothing is read or written any more."""
        self.client_session: ClientSession | None = None
        """Its record of sent frames, where that is kept."""

    async def send(self, message: Json) -> None:
        """Sends one message, encoded by the connector's codec."""
        await self.write(self.mock_connection.encode(encoded(message)))

    async def write(
        self, frame: str | bytes, key: Key | None = None, generated: GeneratedFrame | None = None, broken: bool = False
    ) -> None:
        """Sends one frame, and records it before."""
        if self.client_session is not None:
            ids, shared = ((), None) if generated is None else (generated.ids, generated.shared)
            noted = as_received(frame, self.mock_connection.connection.framing) if broken else frame
            self.client_session.note(SentFrame(key, ids, noted, broken, shared), self.socket)
        await self.socket.send(frame)

    def freeze(self) -> None:
        """Makes the connection half-open."""
        self.frozen = True
        self.subscribed.clear()
        self.socket.transport.pause_reading()


class MockExchange:
    """One connector's venue on a loopback socket, driven by the connector's plan alone.

    An async context manager; alone it has a port of its own, or a `MockServer` serves several. ``rate`` is data
    frames a second for each subscribed stream and symbol; with 0, data is only sent by `play`. All clients get the same
    data. ``frames`` are recorded frames (their texts), used instead of those of the connector's tests; with ``fresh``
    false they are sent unchanged, with ``once`` only once. ``limit`` ends each stream and symbol after so many frames.
    ``ping_every`` is the period in seconds of the venue's own pings.

    To verify that nothing is lost: ``sent`` holds, for each stream and native symbol, the ids of all items sent to at
    least one client, in order; with ``keep`` false only ``counts`` (frames) are kept. ``sent_frames`` records what each
    client has certainly read. With ``keep_generating``, data that was once subscribed is generated also while no client
    is connected, as on a real venue.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        port: int = 0,
        rate: float = 10.0,
        fresh: bool = True,
        frames: Sequence[str] = (),
        symbols: Sequence[str] = (),
        once: bool = False,
        limit: int | None = None,
        ping_every: float | None = None,
        faults: Faults | None = None,
        keep: bool = True,
        seed: int = 0,
        sent_frames: SentFrames | None = None,
        keep_generating: bool = False,
    ) -> None:
        self.plan = plan
        self.sent_frames = sent_frames
        self.rate = rate
        self.faults = faults or Faults()
        self.clients: list[Client] = []
        self.sent: dict[Key, list[str]] = {}
        self.counts: Counter[Key] = Counter()
        self.received: deque[Json] = deque(maxlen=_KEPT)
        self.connects = 0
        self.unrecognized = 0
        """Client frames that match nothing in the connector file."""
        self.pings = 0
        """Heartbeats of clients."""
        self.pongs = 0
        """Correct answers to our own pings."""
        self.garbage = 0
        self.rejected: list[float] = []
        """When (monotonic) connects were answered with an HTTP error."""
        self._refusals: list[str] = []
        self._keep_generating = keep_generating
        self._started: dict[Key, tuple[MockConnection, RequestedSubscription]] = {}
        self._generated: Counter[Key] = Counter()
        self._held: dict[Key, GeneratedFrame] = {}
        self._given = port
        self._limit = limit
        self._keep = keep
        self._ping_every = ping_every
        known = VenueSymbols(plan, symbols)
        price_walks: dict[str, PriceWalk] = {}
        self._mock_connections = {
            connection.name: MockConnection(
                plan, connection, known, price_walks, texts=frames, fresh=fresh, once=once, seed=seed
            )
            for connection in plan.connections
        }
        self._due: dict[Key, float] = {}
        self._finished: set[Key] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._server: Listening | None = None
        self._own: MockServer | None = None

    # -- address

    async def __aenter__(self) -> MockExchange:
        self._own = MockServer([self], self._given)
        await self._own.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            await self._own.__aexit__(kind, error, trace)

    @property
    def port(self) -> int:
        """The port, once the server listens."""
        return self._server.port_of(self.plan.name) if self._server else self._given

    def url(self, connection_name: str | None = None) -> str:
        """The URL that a client connects to; the first connection of the plan needs no name."""
        kind = self.plan.connections[0].transport
        if kind == "tcp":
            return f"tcp://127.0.0.1:{self.port}"
        if kind == "exec":
            return self.plan.connections[0].url_texts[0]
        path = self.plan.name
        if connection_name not in (None, self.plan.connections[0].name):
            path += f"/{connection_name}"
        return f"{'http' if kind == 'http' else 'ws'}://127.0.0.1:{self.port}/{path}"

    @property
    def program(self) -> tuple[str, ...]:
        """The command that stands for the venue's program; none where there is none."""
        if self.plan.connections[0].transport != "exec":
            return ()
        return (sys.executable, "-m", "k2conn.tools.mock.bridge", str(self.port))

    def connection_of(self, target: str) -> Connection:
        """See `ServedExchange.connection_of`."""
        name = target[1:].partition("/")[0].partition("?")[0]
        found = self._mock_connections.get(name) or next(iter(self._mock_connections.values()))
        return found.connection

    def handshake_refusal(self, target: str, request: Request, protocol: ServerProtocol) -> str | None:
        """See `ServedExchange.handshake_refusal`."""
        named = self._mock_connections.get(target[1:].partition("/")[0].partition("?")[0])
        possible = [named] if named is not None else list(self._mock_connections.values())
        refusal = handshake_refusal([one.connection for one in possible], request, protocol)
        if refusal is not None:
            self._refuse(refusal)
        return refusal

    def asked_for(self, target: str) -> object:
        """See `ServedExchange.asked_for`."""
        mock_connection, inside = self._found(target)
        asked = mock_connection.recognizer.asked_by_url(inside)
        return mock_connection.connection.name, tuple((one.stream, one.symbol.native) for one in asked)

    def _found(self, target: str) -> tuple[MockConnection, str]:
        """The connection that an address names, or else the first, and the rest of the address."""
        name, _, rest = target[1:].partition("/")
        named = self._mock_connections.get(name.partition("?")[0])
        return (named, "/" + rest) if named is not None else (next(iter(self._mock_connections.values())), target)

    def start(self, server: Listening) -> None:
        """Starts sending; called by the server."""
        self._server = server
        self._tasks.append(asyncio.create_task(self._publish_forever(), name=f"mock {self.plan.name}"))
        if self._ping_every is not None:
            self._tasks.append(asyncio.create_task(self._ping(self._ping_every), name=f"mock {self.plan.name} ping"))

    async def stop(self) -> None:
        """Stops sending; raises the exception of a failed task."""
        found = await end_tasks(*self._tasks)
        self._tasks.clear()
        for error in found:
            if isinstance(error, Exception):
                raise error

    # -- for tests

    @property
    def subscriptions(self) -> set[Key]:
        """The (stream, native symbol) pairs that some client is subscribed to."""
        return {key for client in self.clients for key in client.subscribed}

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams it has data for, from the tests or a recording."""
        found = frozenset[str]().union(
            *(mock_connection.streams for mock_connection in self._mock_connections.values())
        )
        return tuple(stream.name for stream in self.plan.streams if stream.name in found)

    def packed(self, stream: str, text: bytes) -> str | bytes:
        """A text encoded as a frame of the connection that carries a stream."""
        return next(
            mock_connection
            for mock_connection in self._mock_connections.values()
            if stream in mock_connection.connection.streams
        ).encode(text)

    @property
    def warnings(self) -> list[str]:
        """What this mock cannot do because the connector's tests have no example of it, and why it refused clients."""
        found = [text for mock_connection in self._mock_connections.values() for text in mock_connection.warnings]
        return [*found, *self._refusals]

    @property
    def before(self) -> list[Json]:
        """The answers to the HTTP calls made before connecting, from the connector's tests; WebSocket addresses in them
        are replaced by the address of this exchange.
        """
        answers = next(
            (mock_connection.before for mock_connection in self._mock_connections.values() if mock_connection.before),
            [],
        )
        return [_with_own_address(answer, self.url()) for answer in answers]

    @property
    def answers_http(self) -> bool:
        """Whether there are HTTP calls whose answers the connector's tests show."""
        listing = self.plan.symbols.list
        return bool(self.before) or (listing is not None and bool(listing.shown))

    @property
    def http_url(self) -> str | None:
        """The URL to use instead of the venue's HTTP host; None where the connector makes no HTTP calls."""
        if self._server is None or self._server.http_port is None or not self.answers_http:
            return None
        return f"http://127.0.0.1:{self._server.http_port}/{self.plan.name}"

    async def drop_clients(self, code: int | None = 1011) -> None:
        """Ends all connections with a close code, or (None) without a close frame."""
        await asyncio.gather(*(self._drop(client, code) for client in tuple(self.clients)))

    def freeze_clients(self) -> None:
        """Makes all current connections half-open; `drop_clients` ends them."""
        for client in tuple(self.clients):
            client.freeze()

    def close_without_ending(self, code: int = 1001) -> None:
        """Sends a close frame to all clients but leaves the sockets open until `drop_clients`."""
        for client in tuple(self.clients):
            if client.socket.state is State.OPEN:  # not one that is closing already
                client.socket.transport.write(b"\x88\x02" + code.to_bytes(2, "big"))
            client.freeze()

    async def broadcast(self, text: bytes, packed: bool = True, broken: bool = True, last: bool = False) -> None:
        """Sends one frame that is of no stream to all clients. ``broken``: it must become a dead letter; ``last``: no
        data follows, for their connections end with it.
        """
        for client in tuple(self.clients):
            if last:
                client.subscribed.clear()
            if not client.frozen:
                frame = client.mock_connection.encode(text) if packed else text
                with suppress(ConnectionClosed):
                    await client.write(frame, broken=broken)

    async def release(self) -> None:
        """Sends the frames held back by `reorder_every`."""
        for key in tuple(self._held):
            await self._send_to_all(key, self._held.pop(key), None)

    def pause(self) -> None:
        """Stops sending data by itself."""
        self.rate = 0.0

    async def play(self, stream: str, symbol: str, count: int = 1) -> None:
        """Sends ``count`` frames of one subscribed stream and symbol, now."""
        for _ in range(count):
            await self._publish((stream, symbol))

    async def wait_for(self, condition: Callable[[], object], within: float = 5.0) -> None:
        """Returns when the condition holds. Raises TimeoutError after ``within`` seconds, and the exception of a failed
        task at once.
        """
        async with asyncio.timeout(within):
            while not condition():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)

    # -- clients

    async def serve(self, socket: MockSocket, target: str) -> None:
        """Serves one client from its handshake to its end; ``target`` is the path after the connector's name."""
        mock_connection, target = self._found(target)
        client = Client(socket, mock_connection)
        if self.sent_frames is not None:
            client.client_session = self.sent_frames.client_session(client.mock_connection.connection)
        self.clients.append(client)
        self.connects += 1
        try:
            await self._welcome(client, target)
            async for frame in socket:
                await self._on_frame(client, frame)
        except ConnectionClosed:
            return
        finally:
            self.clients.remove(client)
            if client.client_session is not None:
                client.client_session.stop()

    def admit(self) -> tuple[int, int] | None:
        """None where a client may connect now, else the HTTP status it gets and its Retry-After in seconds."""
        if self.faults.reject <= 0:
            return None
        self.faults.reject -= 1
        self.rejected.append(monotonic())
        return self.faults.reject_status, self.faults.retry_after

    async def _welcome(self, client: Client, target: str) -> None:
        for message in client.mock_connection.welcome:
            await client.send(message)
        await self._subscribe(client, client.mock_connection.recognizer.asked_by_url(target))

    async def _on_frame(self, client: Client, frame: str | bytes) -> None:
        said = client.mock_connection.said(frame)
        text = said if isinstance(said, str) else said.decode("utf-8", "replace")
        value = read(text)
        client.received.append(value)
        self.received.append(value)
        if self.faults.deaf or client.frozen:
            return
        if self._is_pong(client, value):
            self.pongs += 1
            return
        mock_connection = self._find_connection(client, text)
        if (refusal := _wrong_kind(mock_connection.connection, frame)) is not None:
            self._refuse(refusal)
            await client.socket.close(CloseCode.UNSUPPORTED_DATA, refusal)
            return
        answer = mock_connection.respond(text, self.faults)
        self.unrecognized += answer.request.kind == UNKNOWN
        self.pings += answer.request.kind == PING
        if self.faults.delay:
            await asyncio.sleep(self.faults.delay)
        for message in answer.replies:
            await client.send(message)
        for one in answer.undone:
            client.subscribed.pop((one.stream, one.symbol.native), None)
        await self._subscribe(client, answer.made)

    def _find_connection(self, client: Client, text: str) -> MockConnection:
        """The client's connection of the plan; where its address names none, the one that recognises the frame."""
        if not client.subscribed and client.mock_connection.recognizer.recognize(text).kind == UNKNOWN:
            for mock_connection in self._mock_connections.values():
                if mock_connection.recognizer.recognize(text).kind != UNKNOWN:
                    client.mock_connection = mock_connection
                    if client.client_session is not None:
                        client.client_session.connection = mock_connection.connection
        return client.mock_connection

    def _refuse(self, why: str) -> None:
        if why not in self._refusals:
            self._refusals.append(why)

    def _is_pong(self, client: Client, value: Json) -> bool:
        for shape in client.awaited:
            if shape.match(value, MatchCapture()):
                client.awaited.remove(shape)
                return True
        return False

    async def _subscribe(self, client: Client, made: Sequence[RequestedSubscription]) -> None:
        for message in self._announcements(client, made):
            await client.send(message)
        for one in made:
            opening = client.mock_connection.opening(one, wall_us())
            key = (one.stream, one.symbol.native)
            if opening is not None and await self._deliver(client, key, opening):
                self._count_sent(key, opening)
            client.subscribed[key] = one
            if self._keep_generating:
                self._started[key] = client.mock_connection, one
        self._wake.set()

    @staticmethod
    def _announcements(client: Client, made: Sequence[RequestedSubscription]) -> list[Json]:
        """What a venue says of subscriptions before their data, each message once."""
        if client.mock_connection.connection.poll is not None:
            return []  # answers that are no data are given in their turn
        found = [message for one in made for message in client.mock_connection.announcements(one)]
        return list({exactjson.spell(message): message for message in found}.values())

    async def _drop(self, client: Client, code: int | None) -> None:
        if code is None:
            client.socket.transport.abort()
        else:
            await client.socket.close(code, "mock")

    # -- data

    async def _publish_forever(self) -> None:
        """Sends whatever is due, forever."""
        while True:
            self._wake.clear()
            wait = await self._publish_due(self.rate) if self.rate > 0 else None
            if wait is None or wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    continue
            await asyncio.sleep(0)

    async def _publish_due(self, rate: float) -> float | None:
        """Sends all frames that are due. Returns the seconds until the next one, or None where nothing is subscribed.
        """
        now = monotonic()
        keys = (self.subscriptions | self._started.keys()) - self._finished
        self._due = {key: max(self._due.get(key, now), now - _CATCH_UP) for key in keys}
        for key in sorted(keys):
            while self._due[key] <= now and key not in self._finished:
                await self._publish(key)
                self._due[key] += 1 / rate
        following = [due for key, due in self._due.items() if key not in self._finished]
        return max(0.0, min(following) - monotonic()) if following else None

    async def _publish(self, key: Key) -> None:
        """Generates and sends one frame of one stream and symbol."""
        frame_source = self._frame_source(key)
        generated = frame_source.next(wall_us()) if frame_source is not None else None
        if generated is None:
            self._finished |= {key} if frame_source is not None or key in self.subscriptions else set()
            return
        await self._send_with_faults(key, generated)
        if self._limit is not None and self.counts[key] >= self._limit:
            self._finished.add(key)

    def _frame_source(self, key: Key) -> FrameSource | None:
        """The source of one stream and symbol; None where nobody is subscribed."""
        for client in self.clients:
            if key in client.subscribed:
                return client.mock_connection.frame_source(client.subscribed[key], client.subscribed.keys())
        if key in self._started:
            mock_connection, wanted = self._started[key]
            return mock_connection.frame_source(wanted, self._started.keys())
        return None

    async def _send_with_faults(self, key: Key, generated: GeneratedFrame) -> None:
        """Sends one frame subject to the faults that are on: it may be left out, held back or broken."""
        faults = self.faults
        self._generated[key] += 1
        turn = self._generated[key]
        if faults.skip_every and turn % faults.skip_every == 0:
            if self.sent_frames is not None:
                self.sent_frames.withheld.setdefault(key, []).append(generated)
            return
        if faults.reorder_every and turn % faults.reorder_every == 0 and key not in self._held:
            self._held[key] = generated
            return
        corrupt = faults.corrupt_every if turn % (faults.corrupt_every or 1) == 0 else None
        await self._send_to_all(key, generated, corrupt)
        if key in self._held:
            await self._send_to_all(key, self._held.pop(key), None)

    async def _send_to_all(self, key: Key, generated: GeneratedFrame, corrupt: int | None) -> None:
        """Sends one frame to all its subscribers."""
        listeners = [client for client in tuple(self.clients) if key in client.subscribed]
        delivered = [await self._deliver(client, key, generated, corrupt is not None) for client in listeners]
        if any(delivered):
            self._count_sent(key, generated)
        elif self.sent_frames is not None:
            self.sent_frames.missed.setdefault(key, []).append(generated)

    def _count_sent(self, key: Key, generated: GeneratedFrame) -> None:
        """Counts a frame for each stream that it is of."""
        for stream, ids in (generated.shared or {key[0]: generated.ids}).items():
            self.counts[stream, key[1]] += 1
            if self._keep:
                self.sent.setdefault((stream, key[1]), []).extend(ids)

    async def _deliver(self, client: Client, key: Key, generated: GeneratedFrame, broken: bool = False) -> bool:
        """Sends one data frame to one client, subject to the faults that are on. Returns whether it was sent."""
        faults = self.faults
        if client.frozen or faults.deaf or (faults.stall_after is not None and client.data >= faults.stall_after):
            return False
        frame = client.mock_connection.encode(generated.text)
        frame = corrupted(frame, client.mock_connection.readable) if broken else frame
        try:
            await client.write(frame, key, generated, broken)
            client.data += 1
            if faults.duplicate_every and client.data % faults.duplicate_every == 0:
                await client.write(frame, key, generated, broken)
            if faults.garbage_every and client.data % faults.garbage_every == 0:
                self.garbage += 1
                await client.write(client.mock_connection.encode(GARBAGE), broken=True)
        except ConnectionClosed:
            return False
        if faults.close_after is not None and client.data >= faults.close_after:
            client.subscribed.clear()
            await self._drop(client, faults.close_code)
        return True

    async def _ping(self, every: float) -> None:
        """Sends the venue's own pings."""
        while True:
            await asyncio.sleep(every)
            for client in tuple(self.clients):
                now_ms = wall_ms()
                message = client.mock_connection.ping(now_ms)
                if message is None:
                    continue
                client.awaited += client.mock_connection.recognizer.answers(message, {})
                try:
                    await client.send(message)
                except ConnectionClosed:
                    continue


def _wrong_kind(connection: Connection, frame: str | bytes) -> str | None:
    """What is wrong with the kind of a client's frame; None where nothing is."""
    kind = "text" if isinstance(frame, str) else "binary"
    if connection.transport != "websocket" or connection.send_as in (kind, "codec"):
        return None
    return f"this venue takes {connection.send_as} frames, this one is {kind}"


def _with_own_address(answer: Json, url: str) -> Json:
    if isinstance(answer, dict):
        return {key: _with_own_address(value, url) for key, value in answer.items()}
    if isinstance(answer, list):
        return [_with_own_address(value, url) for value in answer]
    return url if isinstance(answer, str) and answer.startswith(("wss://", "ws://")) else answer

