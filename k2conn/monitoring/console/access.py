"""Who may look at the console.

Where only this machine can ask, everybody on it may; where others can reach the port, who has the token. A program says
it in its Authorization line. A browser does so once, and is given a cookie that says until when it may look: signed
with a key of this process, so that nothing is kept here, and nothing of it is of use after a restart.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection

from k2conn.loopback import host_name, named_here
from k2conn.monitoring.requests import BadRequest, header_of

SESSION = 12 * 3600
"""Seconds for which a browser need not say the token again."""
PLACE = "/console"
"""Where the cookie is sent to: nowhere else on the port."""


class ConsoleAccess:
    """``token``: what must be shown; empty where none is set. ``bound_here``: only this machine can ask. ``hosts``: the
    names under which the port is reached, in small letters, beside addresses and names without a dot. ``wall`` gives
    microseconds since the epoch.
    """

    def __init__(self, token: str, bound_here: bool, hosts: Collection[str], wall: Callable[[], int]) -> None:
        self._token = token.encode()
        self._bound_here = bound_here
        self._hosts = hosts
        self._wall = wall
        self._key = secrets.token_bytes(32)

    def check_host(self, head: bytes) -> None:
        """A page that has its own name lead here is not served: BadRequest for any but a known name."""
        host = header_of(head, "host")
        if not host or not (named_here(host) or host_name(host).lower() in self._hosts):
            raise BadRequest(403, "the Host line names another machine: ask for an address, for a name without a dot, "
                                  "or for one that K2_CONSOLE_HOSTS names")

    def check(self, head: bytes, port: int) -> None:
        """Data is for who has the token, and for pages of our own: BadRequest for anybody else."""
        self._check_site(head)
        if not self._token:
            return
        if not (self._shows_token(head) or self._has_session(head, port)):
            raise BadRequest(401, "the token is missing or wrong (K2_CONSOLE_TOKEN)")

    def session(self, head: bytes, port: int) -> str:
        """The cookie for who shows the token, as a Set-Cookie line says it; BadRequest for anybody else."""
        self._check_site(head)
        if self._token and not self._shows_token(head):
            raise BadRequest(401, "the token is missing or wrong (K2_CONSOLE_TOKEN)")
        end = str(self._wall() // 1_000_000 + SESSION)
        return self._cookie(port, f"{end}.{self._signed(end, port)}", SESSION)

    def no_session(self, port: int) -> str:
        """The Set-Cookie line that takes it back."""
        return self._cookie(port, "", 0)

    @property
    def asks(self) -> bool:
        """Whether there is a token to show."""
        return bool(self._token)

    def _check_site(self, head: bytes) -> None:
        if not self._token and not self._bound_here:
            raise BadRequest(403, "others can reach this port, so that the console needs K2_CONSOLE_TOKEN")
        if header_of(head, "sec-fetch-site") in ("cross-site", "same-site"):
            raise BadRequest(403, "pages of other sites may not look here")

    def _shows_token(self, head: bytes) -> bool:
        kind, _, given = header_of(head, "authorization").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    def _has_session(self, head: bytes, port: int) -> bool:
        name = _cookie_name(port)
        for one in header_of(head, "cookie").split(";"):
            key, _, value = one.strip().partition("=")
            end, _, signed = value.partition(".")
            if key == name and hmac.compare_digest(signed.encode(), self._signed(end, port).encode()):
                return int(end) > self._wall() // 1_000_000  # we wrote it
        return False

    def _signed(self, end: str, port: int) -> str:
        return hmac.new(self._key, f"{port} {end}".encode(), "sha256").hexdigest()

    @staticmethod
    def _cookie(port: int, value: str, seconds: int) -> str:
        return f"{_cookie_name(port)}={value}; Path={PLACE}; Max-Age={seconds}; HttpOnly; SameSite=Strict"


def _cookie_name(port: int) -> str:
    """Browsers do not tell ports apart: several processes of one machine have a cookie each."""
    return f"k2conn_{port}"
