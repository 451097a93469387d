"""The HTTP requests that a plan declares, filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from k2conn import exactjson
from k2conn.errors import TransportError
from k2conn.hosts import host_of
from k2conn.net.destinations import Destinations
from k2conn.net.http import Call
from k2conn.net.proxy import proxy_for
from k2conn.plan import HttpRequest, SendScope
from k2conn.runner.overrides import Overrides

_HEADER = re.compile("[\\t -~\\x80-\\xff]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def sendable(headers: Mapping[str, object]) -> dict[str, str]:
    """Headers that can be sent. TransportError names one that cannot, and never shows it: what the user gave has been
    looked at before, so that it is a value of the venue's.
    """
    found = {key: str(value) for key, value in headers.items()}
    for key, value in found.items():
        if not _HEADER.fullmatch(value):
            raise TransportError("handshake", f"the header {key} would have characters that no header can carry")
    return found


def offered(subprotocols: Sequence[str]) -> tuple[str, ...]:
    """Sub-protocols that can be offered. TransportError for one that cannot, which is a value of the venue's, too."""
    if not all(map(_TOKEN.fullmatch, subprotocols)):
        raise TransportError("handshake", "a sub-protocol would have characters that the name of none can have")
    return tuple(subprotocols)


def check_call(request: HttpRequest, scope: SendScope, given: Overrides, allowed: Destinations | None = None) -> None:
    """Fills a request in as far as can be told before it is made. Raises as `http_call`, and SettingsError where the
    proxy for it cannot be used.
    """
    proxy_for(http_call(request, scope, given, allowed).url, given.proxy)


def http_call(
    request: HttpRequest, scope: SendScope, given: Overrides, allowed: Destinations | None = None
) -> Call:
    """A declared HTTP request, filled in. Raises MissingVariable and SettingsError for what the user did not set or set
    wrong, RecordError and TransportError for what the venue has not said, or said wrong, and for a host that must not
    be connected to.
    """
    body = exactjson.encode(request.body(scope)) if request.body else None
    if request.form:
        body = urlencode({key: exactjson.spell(value) for key, value in request.form(scope).items()}).encode()
    headers = sendable(request.headers(scope)) if request.headers else {}
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded" if request.form else "application/json")
    url = reached(str(request.url(scope)), given)
    if allowed is not None:
        allowed.check(host_of(url))
    return Call(request.method, url, headers, body, request.within, given.ca_file, given.verify, proxy=given.proxy,
                destinations=allowed)


def reached(url: str, given: Overrides) -> str:
    """Where an address of the venue's is asked: at the host that the user gave in place of the venue's, if any."""
    if given.http_url is None:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise TransportError("http", "the venue named a host that cannot be") from None
    return given.http_url.rstrip("/") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
