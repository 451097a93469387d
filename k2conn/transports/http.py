"""HTTP calls a connector declares (a token before connecting, an instrument list): the one door to http.client.

Redirects are not followed (an answer must not choose another host), answers are bounded, TLS is verified.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Mapping
from contextlib import suppress
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
            return await _aside(request)
    except TimeoutError:
        raise TransportError("http", f"no answer within {request.within:g} s") from None


async def _aside(request: Call) -> object:
    """The call in a thread of its own, which nobody waits for once the answer is not wanted any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()

    def settle(answer: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def work() -> None:
        answer, failed = None, None
        try:
            answer = _call(request)
        except BaseException as error:  # handed to whoever waits for the answer, in their own thread
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, answer, failed)

    threading.Thread(target=work, name="http", daemon=True).start()
    return await future


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
        with connection.getresponse() as answer:
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
