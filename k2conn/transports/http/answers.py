"""What an HTTP answer says beside its body: whether it is one, and how long to stay away."""

from __future__ import annotations

from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.net.http import OVERLOADED, REDIRECTED, HttpAnswer, stay_away

_PLAIN = ("", "identity")


def check(url: str, answer: HttpAnswer) -> None:
    """TransportError for an answer that is none: another status than 2xx, or a body in a coding not asked for."""
    host, status = urlsplit(url).hostname, answer.status
    if not 200 <= status < 300:
        hint = REDIRECTED if 300 <= status < 400 else ""
        delay = stay_away(status, answer.retry_after)
        text = f"{host} answered HTTP {status}{hint}"
        raise TransportError(f"http-{status}", text, delay, unwelcome=status in OVERLOADED)
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _PLAIN:
        raise TransportError("http", f"{host} answered in the coding '{coding[:40]}', which was not asked for")
