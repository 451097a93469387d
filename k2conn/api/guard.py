"""What stands before every request: its id, its size, its host, its rate, its key; and the line that it leaves in the
log. Plain ASGI, so that streams go through it piece by piece.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from k2conn.api.problems import TYPE, RequestRefused
from k2conn.api.rates import Rates, client_of
from k2conn.api.settings import ApiSettings
from k2conn.clock import monotonic
from k2conn.loopback import host_name, named_here
from k2conn.runner.event_log import bound, get_logger

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_ADDRESS = 4096
"""Bytes of path and query."""
LARGEST_BODY = 64 * 1024
BODY_WITHIN = 10.0
"""Seconds for a whole body."""
OPEN_PATHS = ("/health", "/openapi.json")
"""What needs no key."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class Guard:
    """Lets requests through to ``inner``, or answers them with a problem."""

    def __init__(self, inner: Application, settings: ApiSettings) -> None:
        self._inner = inner
        self._settings = settings
        self._rates = Rates(settings.requests_per_minute)
        self._key = None if settings.key is None else _digest(settings.key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        request_id = _sane(headers.one("x-request-id")) or uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        began = monotonic()
        with bound(request_id=request_id):
            try:
                self._check(scope, headers)
                await self._inner(scope, await _bounded(scope, receive), answer.send)
            except RequestRefused as problem:
                await _refuse(scope, receive, answer, problem, request_id)
            except ConnectionError:
                answer.status = answer.status or 499  # the client has gone
            except Exception:
                get_logger().exception("a bug while answering", path=scope["path"][:200])
                await _refuse(scope, receive, answer, RequestRefused(500), request_id)
            finally:
                self._log(scope, answer, began)

    def _check(self, scope: Scope, headers: _Headers) -> None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise RequestRefused(414, f"path and query have at most {LONGEST_ADDRESS} bytes")
        names = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise RequestRefused(422, errors=[(name[:100], "this is said more than once") for name in twice[:10]])
        hosts = headers.all("host")
        if len(hosts) != 1:
            raise RequestRefused(400, "one Host line is needed")
        self._check_host(hosts[0])
        if scope["type"] == "websocket":
            self._check_origin(headers, hosts[0])
        client = client_of((scope.get("client") or ("", 0))[0])
        wait = self._rates.wait(client, monotonic())
        if wait:
            raise RequestRefused(429, headers={"Retry-After": str(ceil(wait))})
        preflight = scope.get("method") == "OPTIONS" and self._settings.allowed_origins
        if self._key is not None and scope["path"] not in OPEN_PATHS and not preflight:
            shown = headers.one("x-api-key")
            if shown is None or not hmac.compare_digest(_digest(shown.encode("latin-1")), self._key):
                raise RequestRefused(401, headers={"WWW-Authenticate": 'ApiKey realm="k2conn"'})

    def _check_host(self, host: str) -> None:
        allowed = self._settings.allowed_hosts
        if self._settings.here and not named_here(host) and host_name(host) not in allowed:
            raise RequestRefused(403, "the Host line names another machine: ask for localhost, or 127.0.0.1")
        if allowed and not self._settings.here and host_name(host).lower() not in map(str.lower, allowed):
            raise RequestRefused(403, "the Host line names a host that is not served here")

    def _check_origin(self, headers: _Headers, host: str) -> None:
        """A browser lets any page open a WebSocket, and says only which page it is."""
        origin = headers.one("origin")
        if origin is None or origin in self._settings.allowed_origins:
            return
        if urlsplit(origin).netloc != host:
            raise RequestRefused(403, "pages of this origin may not listen here")

    def _log(self, scope: Scope, answer: _Answer, began: float) -> None:
        log = get_logger()
        say = log.warning if answer.status >= 500 else log.info
        say("request", method=scope.get("method", "WEBSOCKET"), path=scope["path"][:200], status=answer.status,
            ms=round((monotonic() - began) * 1000, 1), client=(scope.get("client") or ("",))[0])


class _Headers:
    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1").strip() for key, value in self._raw if key.lower() == name.encode()]

    def one(self, name: str) -> str | None:
        """The only value; None where there is none, or are several."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None


class _Answer:
    """What goes out: with the request's id, and its status noted."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id.encode()
        self.status = 0

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.status = int(message.get("status", 101))
            message = {**message, "headers": [
                *message.get("headers", ()), (b"x-request-id", self._id), (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
            ]}
        await self._send(message)


async def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Takes in the body, of bounded size and time, and hands it on; RequestRefused where it is larger or slower."""
    if scope["type"] != "http":
        return receive
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ConnectionError("the client has gone")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > LARGEST_BODY:
                    told = f"a body has at most {LARGEST_BODY} bytes"
                    raise RequestRefused(413, told, headers={"Connection": "close"})
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise RequestRefused(408, "the body did not come in time", headers={"Connection": "close"}) from None
    body: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def again() -> Message:
        return body.pop() if body else await receive()

    return again


async def _refuse(scope: Scope, receive: Receive, answer: _Answer, problem: RequestRefused, request_id: str) -> None:
    if answer.status:  # it has begun: all that is left is to end it
        return
    prefix = "" if scope["type"] == "http" else "websocket."
    if prefix and "websocket.http.response" not in scope.get("extensions", {}):
        await answer.send({"type": "websocket.close", "code": 1008})
        return
    body = problem.body(request_id)
    headers = {"Content-Type": TYPE, "Content-Length": str(len(body)), **problem.headers}
    await answer.send({
        "type": f"{prefix}http.response.start", "status": problem.status,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    })
    await answer.send({"type": f"{prefix}http.response.body", "body": body})


def _sane(text: str | None) -> str | None:
    return text if text is not None and _ID.fullmatch(text) else None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
