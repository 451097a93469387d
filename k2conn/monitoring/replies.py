"""What the port answers: a whole reply, or one that goes on for as long as the client listens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

JSON = "application/json"
REASONS = {
    200: "OK", 204: "No Content", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large", 415: "Unsupported Media Type",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 503: "Service Unavailable",
}
Headers = Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """Status, content type, body, and what else its head says."""

    status: int
    kind: str
    body: bytes
    headers: Headers = ()


class Ongoing(Protocol):
    """A reply without an end of its own."""

    @property
    def kind(self) -> str:
        """Its content type."""

    @property
    def headers(self) -> Headers:
        """What else its head says."""

    async def serve(self, writer: asyncio.StreamWriter) -> None:
        """Writes it until there is no more to say, or the client does not read."""


def head_of(status: int, kind: str, headers: Headers, length: int | None) -> bytes:
    """The lines before a reply's body; ``length``: None where it goes on."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {kind}"]
    lines += ["Cache-Control: no-store"] if length is None else [f"Content-Length: {length}"]
    lines += ["X-Content-Type-Options: nosniff", "Connection: close"]
    lines += [f"{name}: {text}" for name, text in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
