"""/metrics, /health, /ready and /live on one port, and the web console.

*live*: the process runs. *ready*: every connection is subscribed, of every stream something
can be published, and the sink can be reached. *health*: the same in
detail, as JSON, graded ok, degraded or failed. HTTP/1.1 by hand, for a few paths: no server is worth a dependency here.

Whoever can reach the port gets at nothing but these: clients are bounded in number, time and size (of those that have
not asked yet the oldest has to go), and what is let in says `k2conn.monitoring.requests`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from k2conn import exactjson
from k2conn.clock import thread_time
from k2conn.ending_tasks import end_tasks
from k2conn.errors import SettingsError
from k2conn.loopback import is_loopback
from k2conn.monitoring import metrics
from k2conn.monitoring.board.document import Board, board_document
from k2conn.monitoring.board.query import BoardQuery, asked_board
from k2conn.monitoring.board.watching import BoardWatch
from k2conn.monitoring.console.examples import Examples, examples_of
from k2conn.monitoring.console.web_console import WebConsole
from k2conn.monitoring.process_status import (
    AnomalyReport,
    DriftReport,
    Health,
    ProcessStatus,
    Silence,
    anomaly_report,
    drift_report,
    process_status,
    silent_symbols,
)
from k2conn.monitoring.replies import JSON, Ongoing, Reply, head_of
from k2conn.monitoring.requests import LONGEST_HEAD, BadRequest, header_of, target_of
from k2conn.monitoring.tap.listening import TapListener, Taps
from k2conn.runner import Runner

KEPT = 32
"""Answers that are given again for a while: of the board there are as many as questions."""
_REFUSED = Reply(429, JSON, b'{"error":"too many requests, or too much work for them, in this second"}')
CLIENTS = 64
"""Connections at a time."""
MOST_ANSWERS = 50
"""Answers in a second, but for /live."""
SHARE = 0.2
"""The part of the time that goes into making answers of one path. Who asks sooner than that allows is given the latest
one: however many ask at once, it is made once. In the long run it holds for all paths together; beyond that there is
the latest answer or, where that is stale, none.
"""
STALE = 10.0
"""Seconds after that for which the latest answer is still given where there is too much work for a new one."""
MOST_WORK = 1.0
"""Seconds of that work which may be done at once, after a while without."""
WITHIN = 5.0
"""Seconds for a whole request, until its answer has been read."""


class View(Protocol):
    """What is served: the state of one runner, or of several worker processes."""

    async def health(self) -> ProcessStatus:
        """The whole state."""

    async def silence(self) -> Silence:
        """Silent symbols by stream and cause."""

    async def drift(self) -> DriftReport:
        """Changes of venues' messages, by connector."""

    async def anomalies(self) -> AnomalyReport:
        """The latest odd records, by connector."""
    async def board(self, query: BoardQuery) -> Board:
        """What an operator looks at."""

    async def examples(self, connector: str) -> Examples:
        """Dead letters and gaps of a connector, and which way its data takes."""

    async def metrics(self) -> bytes:
        """The metrics as Prometheus reads them."""


class RunnerView:
    """One runner's state."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._watch = BoardWatch(runner)

    async def health(self) -> ProcessStatus:
        """See `View`."""
        return process_status(self._runner)

    async def silence(self) -> Silence:
        """See `View`."""
        return silent_symbols(self._runner)

    async def drift(self) -> DriftReport:
        """See `View`."""
        return drift_report(self._runner)

    async def anomalies(self) -> AnomalyReport:
        """See `View`."""
        return anomaly_report(self._runner)
    async def board(self, query: BoardQuery) -> Board:
        """See `View`."""
        return board_document(process_status(self._runner), self._watch.figures(query), query)

    async def examples(self, connector: str) -> Examples:
        """See `View`."""
        return examples_of(self._runner, connector)

    async def metrics(self) -> bytes:
        """See `View`."""
        return metrics.exposition(self._runner)


class HealthServer:
    """Serves the state of a runner, or of whatever else has a view."""

    def __init__(
        self, shown: Runner | View, host: str, port: int, taps: Taps | None = None, console: WebConsole | None = None
    ) -> None:
        self._taps = taps
        self._console = console
        self._view: View = RunnerView(shown) if isinstance(shown, Runner) else shown
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        """All connections, the oldest first."""
        self._sent_away: set[asyncio.Task[None]] = set()
        """Of connections that had to go: they end in one of the next turns of the event loop."""
        self._answering: set[asyncio.StreamWriter] = set()
        self._second, self._answers = 0, 0
        """The second of the loop's clock, and how many answers were made in it."""
        self._credit, self._since = MOST_WORK, 0.0
        """Seconds of work that may still be done, as of that moment of the loop's clock."""
        self._latest: dict[str, tuple[float, Reply]] = {}
        """By path, the latest answer, and until when (on the loop's clock) it is given again."""

    @property
    def port(self) -> int:
        """The port in use (of interest where 0 was asked for)."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listens; SettingsError where the port is taken."""
        try:
            self._server = await asyncio.start_server(
                self._connected, self._host, self._port, limit=LONGEST_HEAD
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self._host}:{self._port} for /metrics and /health: {error.strerror};"
                " choose another with --port, or 0 for any"
            ) from None

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
        for writer in self._clients:
            writer.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = asyncio.ensure_future(self._serve(reader, writer))
        self._make_room()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                ongoing = await self._converse(reader, writer)
            if ongoing is not None:
                await self._stream(ongoing, reader, writer)
            writer.close()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()  # a client that is slow, or went away; what it does not read is not kept
        finally:
            self._clients.pop(writer, None)
            self._answering.discard(writer)

    def _make_room(self) -> None:
        """With too many connections, the oldest that has not asked anything yet has to go, else the oldest."""
        while len(self._clients) > CLIENTS:
            asking = (one for one in self._clients if one not in self._answering)
            writer = next(asking, next(iter(self._clients)))
            task = self._clients.pop(writer)  # at once: more than one may come in a turn
            self._sent_away.add(task)
            task.add_done_callback(self._sent_away.discard)
            writer.transport.abort()

    async def _stream(
        self, ongoing: Ongoing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """For as long as the client listens: one that has left says so by the end of what it sends."""
        serving = asyncio.ensure_future(ongoing.serve(writer))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            await end_tasks(serving, leaving)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Ongoing | None:
        """One request and its answer, until the client has all of it; or the beginning of an answer that goes on."""
        writer.transport.set_write_buffer_limits(0)
        method = "GET"
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target = target_of(head[:-4], is_loopback(self._host), self._names)
            self._answering.add(writer)
            reply = await self._reply(method, target, head[:-4])
        except asyncio.LimitOverrunError:
            reply = Reply(431, JSON, b'{"error":"the request is too large"}')
        except BadRequest as bad:
            reply = Reply(bad.status, JSON, exactjson.encode({"error": str(bad)}))
        if not isinstance(reply, Reply):
            writer.write(head_of(200, reply.kind, reply.headers, None))
            return reply
        writer.write(head_of(reply.status, reply.kind, reply.headers, len(reply.body)))
        writer.write(b"" if method == "HEAD" else reply.body)
        await writer.drain()
        return None

    async def _reply(self, method: str, target: str, head: bytes) -> Reply | Ongoing:
        path = target.split("?", 1)[0]
        if path == "/tap" and method == "GET":
            return self._tap(target, head)
        if self._console is not None and self._console.has(path):
            if (file := self._console.file(target, head)) is not None:
                return file  # a page is made of many, and they are no work
            if self._too_many(asyncio.get_running_loop().time()):
                return _REFUSED
            found = self._console.answer(target, head, self.port)
            if method == "GET" or isinstance(found, Reply):
                return found
            raise BadRequest(405, "GET only: this has no end")
        return await self._answer(target)

    @property
    def _names(self) -> Collection[str]:
        return self._console.hosts if self._console is not None else ()

    def _tap(self, target: str, head: bytes) -> TapListener:
        if self._taps is None:
            raise BadRequest(404, "this process has no tap: with --from kafka there is none")
        if self._too_many(asyncio.get_running_loop().time()):
            raise BadRequest(429, "too many requests in this second")
        return self._taps.begin(target.partition("?")[2], header_of(head, "authorization"), is_loopback(self._host))

    def _too_many(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._answers = int(now), 0
        self._answers += 1
        return self._answers > MOST_ANSWERS

    def _too_much(self, now: float) -> bool:
        self._credit = min(MOST_WORK, self._credit + SHARE * (now - self._since))
        self._since = now
        return self._credit <= 0

    async def _answer(self, target: str) -> Reply:
        path, _, said = target.partition("?")
        path = path.rstrip("/") or "/"
        if path == "/live":
            return Reply(200, JSON, b'{"status":"live"}')
        clock = asyncio.get_running_loop().time
        now = clock()
        too_many = self._too_many(now)
        query = asked_board(said) if path == "/board" else None
        asked = path if query is None else f"{path}?{query.encoded()}"
        until, latest = self._latest.get(asked, (0.0, _REFUSED))
        if not too_many and now < until:
            return latest
        if too_many:
            return _REFUSED
        if self._too_much(now):
            return latest if now < until + STALE else _REFUSED
        began, work = thread_time(), 0.0
        try:
            answer = await self._state(path) if query is None else await self._board(query)
        finally:
            work = thread_time() - began
            self._credit -= work
        if answer.status != 404:  # there are few paths, and none is kept that a client made up
            self._latest.pop(asked, None)
            self._latest[asked] = clock() + work / SHARE, answer
            if len(self._latest) > KEPT:
                del self._latest[next(iter(self._latest))]
        return answer

    async def _board(self, query: BoardQuery) -> Reply:
        return Reply(200, JSON, exactjson.encode(await self._view.board(query)))

    async def _state(self, path: str) -> Reply:
        if path == "/metrics":
            own = self._console.metrics() if self._console is not None else b""
            return Reply(200, metrics.CONTENT_TYPE, await self._view.metrics() + own)
        if path == "/drift":
            return Reply(200, JSON, exactjson.encode(await self._view.drift()))
        if path == "/anomalies":
            return Reply(200, JSON, exactjson.encode(await self._view.anomalies()))
        if path in ("/ready", "/health"):
            state = await self._view.health()
            if path == "/ready":
                ready, silence = state["ready"], await self._view.silence()
                shown = {"ready": ready, "waiting_for": state["waiting_for"], "silence": silence}
                return Reply(200 if ready else 503, JSON, exactjson.encode(shown))
            return Reply(200 if state["status"] != Health.FAILED else 503, JSON, exactjson.encode(state))
        return Reply(404, JSON, b'{"error":"there are /metrics, /health, /ready, /live, /drift, /anomalies, /board"}')
