"""The HTTP client, for every request that k2conn makes: the one door to http.client.

What is decided here once:

- TLS is verified (`k2conn.net.tls`); answers are bounded in size, requests in time;
- redirects are not followed: an answer must not choose where a key goes next. A 3xx is an answer like any other;
- what an address cannot hold (spaces, letters beyond ASCII) is percent-encoded as UTF-8;
- errors name the host only, for addresses, headers and bodies may hold secrets. That goes for an address that is none,
  and for a header that cannot be sent, too;
- Retry-After is read in one way (`stay_away`);
- no proxy is used yet: `_connection` is the one place that opens connections.

It is the standard library's blocking client, in a thread: k2conn makes some calls an hour, so that a library for
thousands of calls (such as httpx: 40 ms to import, and 7 MB) would cost more than it gives.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from k2conn import __version__, exactjson
from k2conn.errors import TransportError
from k2conn.net.tls import client_context

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes of the largest answer."""
OVERLOADED = (418, 429)
"""The statuses of a server that has had too much of us."""
_UNSAFE = re.compile(r"[^!-~]+")
"""What cannot stand in the first line of a request."""
_PENALTY = 60
"""Seconds to stay away from a server that has had too much and does not say how long."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """One request; addresses, headers and bodies may hold secrets and are never shown. ``within`` seconds bound it;
    ``tls`` is used in place of what ``ca_file`` and ``verify`` say, where it is given.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    within: float = 10.0
    ca_file: str | None = None
    verify: bool = True
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server said, whatever its status."""

    status: int
    retry_after: str
    """The header of that name; empty where there is none."""
    body: bytes = field(repr=False)


class NoAnswer(TransportError):
    """A server did not answer, or not in HTTP; ``reason`` says why, without the host."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__("http", f"{host}: {reason}")
        self.reason = reason


def exchange(request: Call) -> HttpAnswer:
    """The answer; blocks. Raises NoAnswer."""
    host = ""
    headers = {"User-Agent": f"k2conn/{__version__}", "Accept": "application/json", **request.headers}
    connection: http.client.HTTPConnection | None = None
    try:
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        connection = _connection(parts, request)
        connection.request(request.method, _target(parts), body=request.body, headers=headers)
        with connection.getresponse() as answer:
            body = answer.read(MAX_ANSWER + 1)
    except TimeoutError:
        raise NoAnswer(host, "no answer in time") from None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(host, getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    except (ValueError, OverflowError):  # a port out of range, a name that no host can have, a header with a line end
        raise NoAnswer(host, "the address or a header has characters or a port that cannot be") from None
    finally:
        if connection is not None:
            connection.close()
    if len(body) > MAX_ANSWER:
        raise NoAnswer(host, f"answered more than {MAX_ANSWER} bytes")
    return HttpAnswer(answer.status, answer.headers.get("Retry-After", ""), body)


def _target(parts: SplitResult) -> str:
    """What is asked for. Letters that an address cannot hold are spelled as every browser does."""
    whole = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _UNSAFE.sub(lambda found: quote(found[0]), whole)


def _connection(parts: SplitResult, request: Call) -> http.client.HTTPConnection:
    if parts.scheme == "https":
        context = request.tls or client_context(request.ca_file, request.verify)
        return http.client.HTTPSConnection(parts.netloc, timeout=request.within, context=context)
    return http.client.HTTPConnection(parts.netloc, timeout=request.within)


def stay_away(status: int, retry_after: str) -> float:
    """The least number of seconds until a server that answered with a status may be asked again."""
    if retry_after.isdecimal() and len(retry_after) < 7:
        return float(int(retry_after))
    return float(_PENALTY if status in OVERLOADED else 0)


async def call(request: Call) -> object:
    """The decoded JSON of a 2xx answer; TransportError with a cause for anything else."""
    try:
        async with asyncio.timeout(request.within + 1):
            answer = await _aside(lambda: exchange(request))
    except TimeoutError:
        raise TransportError("http", f"no answer within {request.within:g} s") from None
    host = urlsplit(request.url).hostname
    if not 200 <= answer.status < 300:
        delay = stay_away(answer.status, answer.retry_after)
        raise TransportError(f"http-{answer.status}", f"{host} answered HTTP {answer.status}", delay)
    try:
        return exactjson.decode(answer.body)
    except exactjson.JsonError as error:
        raise TransportError("http", f"{host} answered no JSON: {error}") from None


async def _aside(work: Callable[[], Result]) -> Result:
    """The work in a thread of its own, which nobody waits for once its result is not wanted any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except BaseException as error:  # handed to whoever waits for the result, in their own thread
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="http", daemon=True).start()
    return await future
