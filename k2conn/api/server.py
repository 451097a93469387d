"""uvicorn on a socket of ours, bounded; and what runs beside it: the source of live records."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from k2conn.api.application import make_application
from k2conn.api.guard import LONGEST_ADDRESS
from k2conn.api.service import Service
from k2conn.compat.uvicorn import BoundedWebSocket, bounded_http
from k2conn.ending_tasks import end_tasks
from k2conn.errors import SettingsError
from k2conn.runner.event_log import get_logger

LONGEST_HEAD = 16 * 1024
assert LONGEST_ADDRESS < LONGEST_HEAD
LONGEST_MESSAGE = 4096
"""Bytes of a WebSocket's message from a client."""
IDLE = 30
"""Seconds that a connection may stay open after an answer."""
STOP_WITHIN = 5
"""Seconds in which answers that have begun may end."""
BACKLOG = 128


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. SettingsError where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host.strip("[]"), port))
        found.listen(BACKLOG)  # who comes before uvicorn is ready waits
    except OSError as error:
        found.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port, "
                            "or 0 for any") from None
    return found


async def serve(service: Service, live: Coroutine[Any, Any, None], sock: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, and runs ``live`` beside. A bug in it ends the process."""
    broken: list[BaseException] = []
    server: uvicorn.Server

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.ensure_future(live)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                broken.append(error)
                server.should_exit = True

        task.add_done_callback(ended)
        host, port = sock.getsockname()[:2]
        get_logger().info("serving", api=f"http://{f'[{host}]' if ':' in host else host}:{port}",
                          store=service.store.place, key="needed" if service.settings.key else "none")
        yield
        await end_tasks(task)

    config = uvicorn.Config(
        make_application(service, running), http=bounded_http(service.settings.connections), ws=BoundedWebSocket,
        ws_max_size=LONGEST_MESSAGE, ws_ping_interval=20, ws_ping_timeout=20, ws_per_message_deflate=False,
        h11_max_incomplete_event_size=LONGEST_HEAD, timeout_keep_alive=IDLE, timeout_graceful_shutdown=STOP_WITHIN,
        backlog=BACKLOG, access_log=False, server_header=False, proxy_headers=False, log_config=None, lifespan="on",
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    server = _Server(config, service)
    await server.serve(sockets=[sock])
    if broken:
        raise broken[0]


class _Server(uvicorn.Server):
    """Sends listeners away before it waits for answers to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._service.hub.end()
        await super().shutdown(sockets)
