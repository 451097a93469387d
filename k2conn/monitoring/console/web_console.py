"""The console's part of the port: its files, who may look, and what goes on for as long as somebody does."""

from __future__ import annotations

from collections.abc import Collection

from k2conn import exactjson
from k2conn.clock import wall_us
from k2conn.monitoring.console.access import PLACE, ConsoleAccess
from k2conn.monitoring.console.bundle import bundle_reply
from k2conn.monitoring.console.feed import ConsoleFeed, ShownView
from k2conn.monitoring.console.pages import asked_page
from k2conn.monitoring.replies import JSON, Ongoing, Reply
from k2conn.monitoring.requests import BadRequest
from k2conn.monitoring.tap.listening import Taps

NO_TAP = "This process has no tap: with records of topics there is none."
_PAGE = "index.html"


class WebConsole:
    """The console of one process. ``token``, ``bound_here`` and ``hosts``: see `ConsoleAccess`."""

    def __init__(
        self, view: ShownView, taps: Taps | None, token: str, bound_here: bool, hosts: Collection[str] = ()
    ) -> None:
        self.feed = ConsoleFeed(view)
        self._taps = taps
        self.hosts = frozenset(one.lower() for one in hosts)
        """Names under which the port is reached, beside addresses and names without a dot."""
        self._access = ConsoleAccess(token, bound_here, self.hosts, wall_us)

    @staticmethod
    def has(path: str) -> bool:
        """Whether a path is the console's."""
        return path in ("", "/", PLACE) or path.startswith(f"{PLACE}/")

    def file(self, target: str, head: bytes) -> Reply | None:
        """The file that a path names, which costs next to nothing; None where it names none."""
        self._access.check_host(head)
        return bundle_reply(_name(target) or _PAGE, head)

    def answer(self, target: str, head: bytes, port: int) -> Reply | Ongoing:
        """The reply to a request for another of its paths; BadRequest where there is none."""
        name, query = _name(target), target.partition("?")[2]
        self._access.check_host(head)
        if name == "login":
            return Reply(204, JSON, b"", (("Set-Cookie", self._access.session(head, port)),))
        if name == "logout":
            return Reply(204, JSON, b"", (("Set-Cookie", self._access.no_session(port)),))
        if name not in ("session", "events", "tap"):
            raise BadRequest(404, "the console has no such file")
        self._access.check(head, port)
        if name == "events":
            return self.feed.begin(asked_page(query))
        if name == "tap":
            if self._taps is None:
                raise BadRequest(404, NO_TAP)
            return self._taps.listener(query)
        said = {"asks": self._access.asks, "tap": "" if self._taps is not None else NO_TAP}
        return Reply(200, JSON, exactjson.encode(said), (("Cache-Control", "no-store"),))

    def metrics(self) -> bytes:
        """Its own lines for /metrics."""
        return (
            "# HELP k2conn_console_dropped_clients_total Pages of the console that did not read, and were cut off.\n"
            "# TYPE k2conn_console_dropped_clients_total counter\n"
            f"k2conn_console_dropped_clients_total {self.feed.dropped}\n"
        ).encode()


def _name(target: str) -> str:
    """What stands behind the console's place in an address."""
    return target.partition("?")[0].removeprefix(PLACE).strip("/")
