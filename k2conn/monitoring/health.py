"""/metrics, /health, /ready and /live on one port.

*live*: the process runs. *ready*: every connection is subscribed, of every stream something
can be published, and the sink can be reached. *health*: the same in
detail, as JSON, graded ok, degraded or failed. HTTP/1.1 by hand, for four paths: no server is worth a dependency here.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.monitoring import metrics
from k2conn.monitoring.process_status import Health, ProcessStatus, Silence, process_status, silent_symbols
from k2conn.runner import Runner

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_JSON = "application/json"


class View(Protocol):
    """What is served: the state of one runner, or of several worker processes."""

    async def health(self) -> ProcessStatus:
        """The whole state."""

    async def silence(self) -> Silence:
        """Silent symbols by stream and cause."""

    async def metrics(self) -> bytes:
        """The metrics as Prometheus reads them."""


class RunnerView:
    """One runner's state."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def health(self) -> ProcessStatus:
        """See `View`."""
        return process_status(self._runner)

    async def silence(self) -> Silence:
        """See `View`."""
        return silent_symbols(self._runner)

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
            if path == "/ready":
                ready, silence = state["ready"], await self._view.silence()
                shown = {"ready": ready, "waiting_for": state["waiting_for"], "silence": silence}
                return (200 if ready else 503), _JSON, exactjson.encode(shown)
            return (200 if state["status"] != Health.FAILED else 503), _JSON, exactjson.encode(state)
        return 404, _JSON, b'{"error":"there are /metrics, /health, /ready, /live"}'
