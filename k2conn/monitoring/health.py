"""/metrics, /health, /ready and /live on one port.

*live*: the process runs. *ready*: every connector is subscribed somewhere and the sink can be reached. *health*: the
same in detail, as JSON, graded ok, degraded or failed. HTTP/1.1 by hand, for four paths: no server is worth a
dependency here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from k2conn import __version__, exactjson
from k2conn.engine.resilience.silence_detection import SilenceState
from k2conn.errors import SettingsError
from k2conn.monitoring import metrics
from k2conn.runner import Connector, Runner
from k2conn.runner.connection_state import ConnectionState

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_JSON = "application/json"


class View(Protocol):
    """What is served: the state of one runner, or of a crew of them."""

    async def health(self) -> dict[str, Any]:
        """The whole state, as `health` gives it."""

    async def silence(self) -> dict[str, Any]:
        """Silent symbols, as `silence` gives them."""

    async def metrics(self) -> bytes:
        """The metrics as Prometheus reads them."""


class RunnerView:
    """One runner's state."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def health(self) -> dict[str, Any]:
        """See `View`."""
        return health(self._runner)

    async def silence(self) -> dict[str, Any]:
        """See `View`."""
        return silence(self._runner)

    async def metrics(self) -> bytes:
        """See `View`."""
        return metrics.exposition(self._runner)


class HealthServer:
    """Serves the state of a runner, or of whatever else has a view."""

    def __init__(self, shown: Runner | View, host: str, port: int) -> None:
        self._view: View = RunnerView(shown) if isinstance(shown, Runner) else shown
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port in use (of interest where 0 was asked for)."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listens; SettingsError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self._host}:{self._port} for /metrics and /health: {error.strerror};"
                " choose another with --port, or 0 for any"
            ) from None

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.split(b" ", 2)[:2]
                status, kind, body = await self._answer(method.decode("latin-1"), path.decode("latin-1"))
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode() + (b"" if method == b"HEAD" else body)
                )
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # a client that does not speak HTTP, or went away, is no matter of ours
        finally:
            writer.close()

    async def _answer(self, method: str, target: str) -> tuple[int, str, bytes]:
        path = target.split("?", 1)[0].rstrip("/") or "/"
        if method not in ("GET", "HEAD"):
            return 405, _JSON, b'{"error":"GET only"}'
        if path == "/metrics":
            return 200, metrics.CONTENT_TYPE, await self._view.metrics()
        if path == "/live":
            return 200, _JSON, b'{"status":"live"}'
        if path in ("/ready", "/health", "/"):
            state = await self._view.health()
            ready = state["ready"] if path == "/ready" else state["status"] != "failed"
            shown = state
            if path == "/ready":
                shown = {"ready": ready, "waiting_for": state["waiting_for"], "silence": await self._view.silence()}
            return (200 if ready else 503), _JSON, exactjson.encode(shown)
        return 404, _JSON, b'{"error":"there are /metrics, /health, /ready, /live"}'


def health(runner: Runner) -> dict[str, Any]:
    """The state of everything, for people and probes."""
    sink = runner.sink.status()
    waiting = [] if sink.get("reachable") else [f"sink {runner.sink.name}"]
    connectors: dict[str, Any] = {}
    for connector in runner.connectors:
        sockets = [socket.status() for socket in connector.sockets]
        not_live = [str(s["socket"]) for s in sockets if s["state"] != ConnectionState.LIVE]
        waiting += [f"{connector.plan.name}/{name}" for name in not_live]
        waiting += _silent(connector)
        connectors[connector.plan.name] = {
            "state": connector.state,
            "sockets": sockets,
            "ledger": connector.books.ledger.equation(),
            "streams": {stream.name: _stream(connector, stream.name) for stream in connector.books.streams},
            "endpoints": {
                name: endpoint_group.status(time.monotonic())
                for name, endpoint_group in connector.endpoint_groups.items()
            },
            "reconnect_causes": dict(connector.books.ledger.reconnects),
            **connector.books.ledger.totals(),
        }
    failed = [name for name, one in connectors.items() if one["state"] == ConnectionState.FAILED]
    status = "failed" if failed and len(failed) == len(connectors) else "degraded" if waiting else "ok"
    return {
        "status": status,
        "ready": not waiting,
        "waiting_for": waiting,
        "version": __version__,
        "sink": sink,
        "connectors": connectors,
    }


def silence(runner: Runner) -> dict[str, dict[str, int]]:
    """For each stream that has silent symbols: how many, by cause."""
    found = {
        f"{connector.plan.name}/{stream.name}": connector.silence.causes(stream.name)
        for connector in runner.connectors
        for stream in connector.books.streams
    }
    return {name: causes for name, causes in found.items() if causes}


def _silent(connector: Connector) -> list[str]:
    """The streams of which not one symbol speaks, with the cause. One silent symbol among others stops nobody, and
    that the connections are gone is said elsewhere.
    """
    worst = {stream.name: connector.silence.watch.silent(stream.name) for stream in connector.books.streams}
    return [
        f"{connector.plan.name}/{name}: {state.reason}"
        for name, state in worst.items()
        if state is not None and state != SilenceState.DEAD
    ]


def _stream(connector: Connector, name: str) -> dict[str, Any]:
    return {**connector.books.ledger.totals(name), **connector.silence.status(name)}
