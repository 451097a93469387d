"""The playground's port: its files, what it begins with, and answers to questions. On this machine alone.

Who may ask is who asks from a page of ours: the Host line must name this machine (no page has its own name lead here),
what browsers say of a request's origin must be this page, and a question is JSON, which pages of other sites may not
send without asking first. Requests are bounded in number, time and size.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.playground.workshop import Crowded, Workshop
from k2conn.errors import SettingsError
from k2conn.loopback import host_name, is_loopback
from k2conn.monitoring.console.bundle import SAFE, bundle_reply
from k2conn.monitoring.replies import JSON, Reply, head_of
from k2conn.monitoring.requests import LONGEST_HEAD, BadRequest, header_of, target_of

HOST = "127.0.0.1"
CLIENTS = 16
"""Connections at a time."""
LONGEST_BODY = 3 << 20
"""Bytes of a question: a connector file of 1 MiB, and frames."""
WITHIN = 10.0
"""Seconds for a whole request."""
_FILES = Path(__file__).resolve().parent / "static"
_OF_THE_CONSOLE = ("console.css", "dom.js", "format.js", "icon.svg")
_PAGE = "index.html"


class PlaygroundServer:
    """``begins_with``: the spec and the frames that the page shows first."""

    def __init__(self, workshop: Workshop, port: int, begins_with: dict[str, Any]) -> None:
        self._workshop = workshop
        self._port = port
        self._begins_with = exactjson.encode(begins_with)
        self._server: asyncio.Server | None = None
        self._clients = 0

    @property
    def port(self) -> int:
        """The port in use (of interest where 0 was asked for)."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listens; SettingsError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._connected, HOST, self._port, limit=LONGEST_HEAD)
        except OSError as error:
            raise SettingsError(f"--port {self._port}: cannot listen there: {error.strerror}; 0 is any port") from None

    async def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS:
                await self._converse(reader, writer)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # a client that is slow, or went away
        finally:
            self._clients -= 1
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method = "GET"
        try:
            async with asyncio.timeout(WITHIN):
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                method, target = target_of(head, True, (), ("GET", "HEAD", "POST"))
                _check_site(head)
                question = await _question(reader, head) if method == "POST" else None
            reply = await self._reply(method, target, head, question)
        except asyncio.LimitOverrunError:
            reply = _error(431, "the request is too large")
        except BadRequest as bad:
            reply = _error(bad.status, str(bad))
        writer.write(head_of(reply.status, reply.kind, reply.headers, len(reply.body)))
        writer.write(b"" if method == "HEAD" else reply.body)
        async with asyncio.timeout(WITHIN):
            await writer.drain()

    async def _reply(self, method: str, target: str, head: bytes, question: tuple[str, str] | None) -> Reply:
        name = target.partition("?")[0].strip("/")
        if question is not None:
            if name != "play":
                raise BadRequest(405, "this is only read")
            try:
                answer = await self._workshop.answer(*question)
            except Crowded:
                raise BadRequest(429, "too many questions at a time") from None
            return Reply(200, JSON, answer, _UNKEPT)
        if name == "begins-with":
            return Reply(200, JSON, self._begins_with, _UNKEPT)
        found = bundle_reply(name or _PAGE, head, _FILES)
        if found is None and name in _OF_THE_CONSOLE:
            found = bundle_reply(name, head)
        if found is None:
            raise BadRequest(404, "the playground has no such file")
        return found


_UNKEPT = (*SAFE, ("Cache-Control", "no-store"))


def _check_site(head: bytes) -> None:
    """Pages of other sites, and pages that have their own name lead here, get nothing."""
    host = header_of(head, "host")
    if not host or not is_loopback(host_name(host)):
        raise BadRequest(403, "the Host line names another machine: ask for localhost, or 127.0.0.1")
    if header_of(head, "sec-fetch-site") in ("cross-site", "same-site"):
        raise BadRequest(403, "pages of other sites may not ask here")
    if (origin := header_of(head, "origin")) and origin != f"http://{host}":
        raise BadRequest(403, "pages of other sites may not ask here")


async def _question(reader: asyncio.StreamReader, head: bytes) -> tuple[str, str]:
    """The spec and the frames of a question."""
    if header_of(head, "content-type").partition(";")[0].strip().lower() != JSON:
        raise BadRequest(415, "a question is JSON")
    length = header_of(head, "content-length")
    if not length.isdecimal() or not length.isascii() or header_of(head, "transfer-encoding"):
        raise BadRequest(400, "a question says its length")
    if len(length) > 10 or int(length) > LONGEST_BODY:
        raise BadRequest(413, f"a question has at most {LONGEST_BODY >> 20} MiB")
    try:
        said = exactjson.decode(await reader.readexactly(int(length)))
    except exactjson.JsonError:
        raise BadRequest(400, "a question is JSON") from None
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in ("spec", "frames")):
        raise BadRequest(400, "a question has two texts, spec and frames")
    return said["spec"], said["frames"]


def _error(status: int, why: str) -> Reply:
    return Reply(status, JSON, exactjson.encode({"error": why}), _UNKEPT)
