"""A venue on a loopback socket, as small as a test can use, and a sink in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from k2conn import exactjson
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.runner import Job, Overrides, Runner, RunOutcome
from k2conn.sinks.settings import SinkSettings
from tests.support.plans import STREAMS, plan_of

Act = Callable[[ServerConnection], Awaitable[None]]

CONNECTION = """
connection:
  url: ws://127.0.0.1:%d/ws
  steps:
    - name: subscribe
      send: {op: sub, symbols: $symbols, id: $counter}
      for: trade
      expect: {accepted: {op: sub, ok: true}, refused: {op: sub, ok: false}, symbol: s, reason: why, within: 5s}
      undo: {op: unsub, symbols: $symbols}
  ignore: [{op: unsub}, {ch: beat}]
  reconnect: {base: 50ms, cap: 100ms}
"""


def says(*frames: str | bytes, then: str = "stay") -> Callable[[ServerConnection], Awaitable[None]]:
    """Sends frames, then stays, closes, or drops the line without a word."""

    async def act(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        if then == "close":
            await socket.close(1001, "going away")
        elif then == "drop":
            socket.transport.abort()

    return act


class Venue:
    """Accepts subscriptions, then does what ``act`` says with each connection; remembers what it heard."""

    def __init__(self, *acts: Act, admit: Callable[[ServerConnection, Request], Response | None] | None = None) -> None:
        self.acts = acts
        self.admit = admit
        self.connects = 0
        self.heard: list[Any] = []
        self.paths: list[str] = []
        self.port = 0

    async def _serve(self, socket: ServerConnection) -> None:
        act = self.acts[min(self.connects, len(self.acts) - 1)]
        self.connects += 1
        assert socket.request is not None
        self.paths.append(socket.request.path)
        try:
            frame = await socket.recv()
            said = exactjson.decode(frame)
            self.heard.append(said)
            await socket.send(exactjson.encode({"op": "sub", "ok": True, "s": said["symbols"]}).decode())
            listening = asyncio.create_task(self._listen(socket))
            await act(socket)
            await listening
        except ConnectionClosed:
            return

    async def _listen(self, socket: ServerConnection) -> None:
        async for frame in socket:
            self.heard.append(exactjson.decode(frame))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Venue]:
        async with serve(self._serve, "127.0.0.1", 0, process_request=self.admit) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    def plan(self, name: str = "venue", connection: str = CONNECTION, streams: str = STREAMS) -> Plan:
        """A plan whose address is this venue's."""
        text = connection % self.port if "%d" in connection else connection
        return plan_of(text, streams, name=name)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"



class MemorySink:
    """Takes everything; settles it a moment later, or never (``stuck``)."""

    name = "memory"

    def __init__(self, settle: Callable[[Sequence[Envelope]], None], stuck: bool = False) -> None:
        self.settle = settle
        self.stuck = stuck
        self.taken: list[Envelope] = []
        self.waiting: list[Envelope] = []
        self.steps: list[str] = []
        self.topics: Mapping[str, Any] = {}
        self.bound = 1 << 30
        self.relief = asyncio.Event()

    async def open(self) -> None:
        self.steps.append("open")

    async def prepare(self, topics: Mapping[str, Any]) -> None:
        self.topics = topics
        self.steps.append("prepare")

    def put(self, envelope: Envelope) -> None:
        self.taken.append(envelope)
        self.waiting.append(envelope)
        if not self.stuck:
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        batch, self.waiting = self.waiting, []
        self.settle(batch)

    @property
    def crowded(self) -> bool:
        return len(self.taken) > self.bound

    async def drain(self) -> None:
        await self.relief.wait()
        self.bound = 1 << 30

    async def flush(self, within: float) -> int:
        self.steps.append("flush")
        await asyncio.sleep(0)
        return len(self.waiting)

    async def close(self) -> None:
        self.steps.append("close")

    def status(self) -> dict[str, object]:
        return {"reachable": True, "queued": len(self.waiting), "errors": 0, "last_error": None}

    @property
    def records(self) -> list[dict[str, Any]]:
        return [one.schema.decode_plain(one.value) for one in self.taken if one.schema is not None]

    @property
    def dead(self) -> list[dict[str, Any]]:
        return [exactjson.decode(one.value) for one in self.taken if one.schema is None]


class Run:
    """A runner at work in this loop."""

    def __init__(
        self,
        *plans: Plan,
        overrides: Overrides | None = None,
        sink: type[MemorySink] = MemorySink,
        stuck: bool = False,
        max_records: int | None = None,
        environment: dict[str, str] | None = None,
        state_folder: Path | None = None,
        symbols: tuple[str, ...] | None = None,
    ) -> None:
        jobs = [Job(plan, symbols, streams=("trade",), overrides=overrides or Overrides()) for plan in plans]
        made: list[MemorySink] = []

        def make(settings: SinkSettings, settle: Any, reject: Any) -> Any:
            made.append(sink(settle, stuck))
            return made[0]

        self.runner = Runner(
            jobs, SinkSettings(kind="file"), open_sink=make, max_records=max_records, environment=environment or {},
            state_folder=state_folder,
        )
        self.sink = made[0]
        self.stop = asyncio.Event()
        self._task: asyncio.Task[RunOutcome] | None = None

    async def __aenter__(self) -> Run:
        self._task = asyncio.create_task(self.runner.run(self.stop))
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None and not self._task.done():
            self.stop.set()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, holds: Callable[[], object], within: float = 60.0) -> None:
        """Waits until something holds; a run that ends before raises what ended it."""
        assert self._task is not None
        async with asyncio.timeout(within):
            while not holds():
                if self._task.done():
                    self._task.result()
                    assert holds(), "the run ended"
                    return
                await asyncio.sleep(0.01)

    async def end(self, ask: bool = True) -> RunOutcome:
        """Stops, and gives the outcome."""
        assert self._task is not None
        if ask:
            self.stop.set()
        return await asyncio.wait_for(self._task, 60)

    @property
    def ledger(self) -> Any:
        return self.runner.connectors[0].connector_state.ledger
