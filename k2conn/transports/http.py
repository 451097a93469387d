"""HTTP calls a connector declares (a token before connecting, an instrument list): the one door to http.client.

Redirects are not followed (an answer must not choose another host), answers are bounded, TLS is verified.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from k2conn import __version__, exactjson
from k2conn.errors import TransportError
from k2conn.transports import client_context

MAX_ANSWER = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One request; addresses, headers and bodies may hold secrets and are never shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    within: float = 10.0
    ca_file: str | None = None
    verify: bool = True


async def call(request: Call) -> object:
    """The decoded JSON answer; TransportError with a cause for anything else."""
    try:
        async with asyncio.timeout(request.within + 1):
            return await asyncio.to_thread(_call, request)
    except TimeoutError:
        raise TransportError("http", f"no answer within {request.within:g} s") from None


def _call(request: Call) -> object:
    parts = urlsplit(request.url)
    if parts.scheme == "https":
        context = client_context(request.ca_file, request.verify)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=request.within, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=request.within)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": f"k2conn/{__version__}", "Accept": "application/json", **request.headers}
    try:
        connection.request(request.method, path, body=request.body, headers=headers)
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise TransportError("http", f"{parts.hostname}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        after = answer.headers.get("Retry-After", "")
        delay = int(after) if after.isdecimal() and len(after) < 7 else 60 if answer.status in (418, 429) else 0
        raise TransportError(f"http-{answer.status}", f"{parts.hostname} answered HTTP {answer.status}", float(delay))
    if len(body) > MAX_ANSWER:
        raise TransportError("http", f"{parts.hostname} answered more than {MAX_ANSWER} bytes")
    try:
        return exactjson.decode(body)
    except exactjson.JsonError as error:
        raise TransportError("http", f"{parts.hostname} answered no JSON: {error}") from None
