"""The HTTP client, for every request that k2conn makes: the one door to http.client.

What is decided here once:

- TLS is verified (`k2conn.net.tls`); answers are bounded in size, and the whole of a request in time, however slowly
  an answer drips in: then its socket is shut down, and its thread ends;
- a connector's request goes where `k2conn.net.destinations` lets it;
- redirects are not followed: an answer must not choose where a key goes next. A 3xx is an answer like any other;
- what an address cannot hold (spaces, letters beyond ASCII) is percent-encoded as UTF-8;
- errors name the host only, for addresses, headers and bodies may hold secrets, and are in words of ours. That goes
  for an address that is none, and for a header that cannot be sent, too; trouble with a certificate has the cause
  ``tls``, with a proxy ``proxy``;
- Retry-After is read in one way (`stay_away`), and no server is stayed away from for longer than it may say;
- which proxy a request goes by says `k2conn.net.proxy`: `_connected` is the one place that opens connections.

It is the standard library's blocking client, in a thread: k2conn makes some calls an hour, so that a library for
thousands of calls (such as httpx: 40 ms to import, and 7 MB) would cost more than it gives.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from k2conn import __version__, exactjson
from k2conn.clock import wall_us
from k2conn.errors import SettingsError, TransportError
from k2conn.net.deadline import Deadline
from k2conn.net.destinations import Destinations, open_socket
from k2conn.net.proxy import Proxy, proxy_for
from k2conn.net.tls import client_context, tls_trouble

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of the largest answer: as many as a frame has, unless a connector file says another."""
MOST_VALUES = 250_000
"""Values of the largest answer, as of a message."""
OVERLOADED = (418, 429)
"""The statuses of a server that has had too much of us."""
_UNSAFE = re.compile(r"[^!-~]+")
"""What cannot stand in the first line of a request."""
REDIRECTED = ": redirects are not followed, for a key would go along; set the address that is meant"
LONGEST_AWAY = 15 * 60
"""Seconds for which a server can keep us away, at most."""
_SECONDS = re.compile(r"[0-9]{1,100}", re.ASCII)
_GZIP = 31
"""zlib's word for it."""
_PENALTY = 60
"""Seconds to stay away from a server that has had too much and does not say how long."""

Result = TypeVar("Result")
Response = http.client.HTTPResponse
"""An answer whose head is there."""
HttpError = http.client.HTTPException
"""What is no HTTP."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request; addresses, headers and bodies may hold secrets and are never shown. ``within`` seconds bound it;
    ``tls`` is used in place of what ``ca_file`` and ``verify`` say, where it is given. ``proxy`` is the connector's
    own; None: what the environment says.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    within: float = 10.0
    ca_file: str | None = None
    verify: bool = True
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    destinations: Destinations | None = None
    """Where it may go; None: anywhere."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server said, whatever its status."""

    status: int
    retry_after: str
    """The header of that name; empty where there is none."""
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By their names in small letters."""


class NoAnswer(TransportError):
    """A server did not answer, or not in HTTP; ``reason`` says why, without the host."""

    def __init__(self, host: str, reason: str, cause: str = "http") -> None:
        super().__init__(cause, f"{host}: {reason}")
        self.reason = reason


def exchange(request: Call) -> HttpAnswer:
    """The answer; blocks. Raises NoAnswer."""
    with Deadline(request.within) as deadline, in_words_of_ours(request.url, deadline):
        answer, connected = begun(request, deadline)
        try:
            with answer:
                body = answer.read(MAX_ANSWER + 1)
            deadline.check()  # to the library an answer that ends early is an answer
        finally:
            connected.close()
        if len(body) > MAX_ANSWER:
            raise NoAnswer(urlsplit(request.url).hostname or "", f"answered more than {MAX_ANSWER} bytes")
        return HttpAnswer(answer.status, answer.headers.get("Retry-After", ""), body, small_letters(answer))


@contextmanager
def in_words_of_ours(url: str, deadline: Deadline) -> Iterator[None]:
    """What goes wrong with a request becomes a NoAnswer that names the host only."""
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        yield
    except NoAnswer:
        raise
    except TransportError as error:
        raise NoAnswer(host, error.detail, error.cause) from None
    except SettingsError as error:
        raise NoAnswer(host, str(error), "proxy") from None
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
        if deadline.passed or isinstance(error, TimeoutError):
            raise NoAnswer(host, "no answer in time") from None
        if trouble := tls_trouble(error):
            raise NoAnswer(host, trouble, "tls") from None
        raise NoAnswer(host, _in_words(error)) from None


def small_letters(answer: http.client.HTTPResponse) -> dict[str, str]:
    """The headers of an answer, by their names in small letters."""
    return {name.lower(): value for name, value in answer.headers.items()}


def _in_words(error: Exception) -> str:
    """An error in words of ours: a library's text may repeat an address or a header."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.RemoteDisconnected):
        return "it ended the connection without an answer"
    if isinstance(error, http.client.InvalidURL) or not isinstance(error, (OSError, http.client.HTTPException)):
        # a port out of range, a name that no host can have, a header with a line end
        return "the address or a header has characters or a port that cannot be"
    if isinstance(error, http.client.HTTPException):
        return f"what it answers is no HTTP ({type(error).__name__})"
    return type(error).__name__


def begun(request: Call, deadline: Deadline) -> tuple[http.client.HTTPResponse, socket.socket]:
    """The answer to a request, as soon as its head is there, and the socket to close behind it; blocks."""
    parts = urlsplit(request.url)
    path = _target(parts)
    headers = {"User-Agent": f"k2conn/{__version__}", "Accept": "application/json", **request.headers}
    proxy = proxy_for(request.url, request.proxy)
    if proxy is not None and not proxy.is_socks and parts.scheme == "http":  # it is asked for the whole address
        path = f"http://{parts.netloc}{path}"
        headers |= proxy.authorization
    connection = _connected(parts, request, proxy, deadline)
    opened = connection.sock
    try:
        assert isinstance(opened, socket.socket)
        connection.request(request.method, path, body=request.body, headers=headers)
        answer = connection.getresponse()
        if deadline.passed:  # to the library a head that ends early is a head
            answer.close()
        deadline.check()
        return answer, opened
    except BaseException:  # whatever it is, nobody else closes it
        connection.close()
        if opened is not None:
            opened.close()
        raise


def _target(parts: SplitResult) -> str:
    """What is asked for. Letters that an address cannot hold are spelled as every browser does."""
    whole = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _UNSAFE.sub(lambda found: quote(found[0]), whole)


def _connected(
    parts: SplitResult, request: Call, proxy: Proxy | None, deadline: Deadline
) -> http.client.HTTPConnection:
    """An open connection, through ``proxy`` where there is one. Raises what goes wrong with that as a TransportError
    with the cause ``proxy``.
    """
    context = None
    if parts.scheme == "https":
        context = request.tls or client_context(request.ca_file, request.verify)
    host, port = parts.hostname or "", parts.port or (443 if context is not None else 80)
    connection = _new(parts.netloc, request, context)
    connection.auto_open = 0  # never again, and to no other address
    if request.destinations is not None:
        request.destinations.check(host)
    if proxy is None:
        plain = open_socket(host, port, request.within, request.destinations)
    else:
        plain = _through_proxy(host, port, request.within, context is not None, proxy, deadline)
    deadline.watch(lambda: plain)
    try:
        plain.settimeout(request.within)
        connection.sock = plain
        if context is not None:
            secured = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            connection.sock = secured
            deadline.watch(lambda: secured)
            secured.do_handshake()
    except BaseException:  # whatever it is, a socket that is not handed on is closed
        connection.close()
        plain.close()
        raise
    return connection


def proxied_socket(host: str, port: int, within: float, proxy: Proxy) -> socket.socket:
    """A socket to a host through a proxy, for who speaks no HTTP on it; blocks. TransportError with the cause
    ``proxy``.
    """
    with Deadline(within) as deadline:
        found = _through_proxy(host, port, within, True, proxy, deadline)
    found.settimeout(None)
    return found


def _through_proxy(
    host: str, port: int, within: float, tunnels: bool, proxy: Proxy, deadline: Deadline
) -> socket.socket:
    """A socket through a proxy, or (an HTTP proxy that is not to tunnel) to it."""
    if proxy.is_socks:
        from k2conn.net.socks import socks_socket

        return socks_socket(proxy, host, port, within)
    place = f"{proxy.host if ':' not in proxy.host else f'[{proxy.host}]'}:{proxy.port}"
    way = http.client.HTTPConnection(place, timeout=within)
    if tunnels:
        way.set_tunnel(host, port, proxy.authorization)
    deadline.watch(lambda: way.sock)
    try:
        way.connect()
        deadline.check()
        assert isinstance(way.sock, socket.socket)
        return way.sock
    except (OSError, http.client.HTTPException) as error:
        way.close()
        late = deadline.passed or isinstance(error, TimeoutError)
        why = "no answer in time" if late else getattr(error, "strerror", None) or str(error)
        raise TransportError("proxy", f"{proxy}: {why}") from None


def _new(place: str, request: Call, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if context is not None:
        return http.client.HTTPSConnection(place, timeout=request.within, context=context)
    return http.client.HTTPConnection(place, timeout=request.within)


def stay_away(status: int, retry_after: str) -> float:
    """The least number of seconds until a server that answered with a status may be asked again; at most
    `LONGEST_AWAY`, whatever it says (seconds, or a date).
    """
    said = retry_after.strip()
    if _SECONDS.fullmatch(said):
        return float(min(LONGEST_AWAY, int(said[-10:]) if len(said.lstrip("0")) <= 10 else LONGEST_AWAY))
    try:
        due = parsedate_to_datetime(said)
        ahead = (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp() - wall_us() / 1_000_000
    except (ValueError, OverflowError, TypeError):  # no date, or one that cannot be
        ahead = 0.0
    if ahead <= 0:
        return float(_PENALTY if status in OVERLOADED else 0)
    return min(float(LONGEST_AWAY), ahead)


async def call(request: Call) -> object:
    """The decoded JSON of a 2xx answer; TransportError with a cause for anything else."""
    return await _in_time(request, lambda: _decoded(request, _body(request)))


async def body(request: Call) -> bytes:
    """The body of a 2xx answer, unpacked where the answer says that it is packed; TransportError for anything else."""
    return await _in_time(request, lambda: _body(request))


async def _in_time(request: Call, work: Callable[[], Result]) -> Result:
    try:
        async with asyncio.timeout(request.within + 1):
            return await in_thread(work)
    except TimeoutError:
        raise TransportError("http", f"no answer within {request.within:g} s") from None


def _body(request: Call) -> bytes:
    answer = exchange(request)
    host = urlsplit(request.url).hostname
    if not 200 <= answer.status < 300:
        delay = stay_away(answer.status, answer.retry_after)
        hint = REDIRECTED if 300 <= answer.status < 400 else ""
        raise TransportError(f"http-{answer.status}", f"{host} answered HTTP {answer.status}{hint}", delay)
    if answer.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        return answer.body
    machine = zlib.decompressobj(_GZIP)  # nobody asked for it, and files in a store are packed all the same
    try:
        found = machine.decompress(answer.body, MAX_ANSWER + 1)
    except zlib.error:
        raise TransportError("http", f"{host} says that its answer is gzip, and it is none") from None
    if len(found) > MAX_ANSWER:
        raise TransportError("http", f"{host} answered more than {MAX_ANSWER} bytes")
    if not machine.eof:
        raise TransportError("http", f"{host} answered gzip that ends too early")
    return found


def _decoded(request: Call, text: bytes) -> object:
    host = urlsplit(request.url).hostname
    if len(text) > MOST_VALUES and exactjson.values(text) > MOST_VALUES:
        raise TransportError("http", f"{host} answered more than {MOST_VALUES} values")
    if exactjson.wide(text):
        most = exactjson.WIDE_UP_TO
        raise TransportError("http", f"{host} answered more than {most} bytes, with letters beyond ASCII")
    try:
        return exactjson.decode(text)
    except exactjson.JsonError as error:
        raise TransportError("http", f"{host} answered no JSON: {error}") from None


async def in_thread(work: Callable[[], Result]) -> Result:
    """The work in a thread of its own, which nobody waits for once its result is not wanted any more: neither a caller
    that is cancelled, nor the end of the process.
    """
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
