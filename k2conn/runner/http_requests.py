"""The HTTP requests that a plan declares, filled in."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from k2conn import exactjson
from k2conn.net.http import Call
from k2conn.net.proxy import proxy_for
from k2conn.plan import HttpRequest, SendScope
from k2conn.runner.overrides import Overrides


def check_call(request: HttpRequest, scope: SendScope, given: Overrides) -> None:
    """Fills a request in as far as can be told before it is made. Raises as `http_call`, and SettingsError where the
    proxy for it cannot be used.
    """
    proxy_for(http_call(request, scope, given).url, given.proxy)


def http_call(request: HttpRequest, scope: SendScope, given: Overrides) -> Call:
    """A declared HTTP request, filled in."""
    body = exactjson.encode(request.body(scope)) if request.body else None
    if request.form:
        body = urlencode({key: exactjson.spell(value) for key, value in request.form(scope).items()}).encode()
    headers = {key: str(value) for key, value in request.headers(scope).items()} if request.headers else {}
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded" if request.form else "application/json")
    url = str(request.url(scope))
    if given.http_url is not None:
        parts = urlsplit(url)
        url = given.http_url.rstrip("/") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Call(request.method, url, headers, body, request.within, given.ca_file, given.verify,
                proxy=given.proxy)
