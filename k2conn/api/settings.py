"""What `k2conn serve` is told: checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from k2conn.errors import known
from k2conn.loopback import is_loopback
from k2conn.sinks.settings import above, not_positive, refuse
from k2conn.variable_definitions import Variable

VARIABLES = {
    "K2_API_HOST": Variable("host", "text", "Where to listen; elsewhere than on this machine with K2_API_KEY only."),
    "K2_API_PORT": Variable("port", "port", "The port; 0 for any."),
    "K2_API_KEY": Variable("key", "secret", "What a client must show; 16 characters or more."),
    "K2_API_STORE": Variable("store", "text", "postgres, lake or files."),
    "K2_API_FOLDER": Variable("folder", "path", "Where the file sink's files are; else K2_SINK_FOLDER."),
    "K2_API_TOPICS": Variable("topics", "text", "Topics that are followed with --kafka."),
    "K2_API_ALLOWED_HOSTS": Variable("allowed_hosts", "list", "Names under which clients may ask; none: any."),
    "K2_API_ALLOWED_ORIGINS": Variable("allowed_origins", "list", "Pages that a browser lets ask (CORS)."),
    "K2_API_REQUESTS_PER_MINUTE": Variable("requests_per_minute", "int", "Of one client; 0: any number."),
    "K2_API_MOST_ROWS": Variable("most_rows", "int", "The largest limit of a request."),
    "K2_API_QUERIES": Variable("queries", "int", "Queries at a time."),
    "K2_API_TIMEOUT_MS": Variable("timeout_ms", "ms", "For one query."),
    "K2_API_CONNECTIONS": Variable("connections", "int", "Connections at a time."),
    "K2_API_LISTENERS": Variable("listeners", "int", "Clients of /v1/stream at a time."),
    "K2_API_LISTENER_RECORDS": Variable("listener_records", "int", "Records that wait for one of them."),
}
"""Environment variable -> (ApiSettings field, how its text is read)."""

STORES = ("postgres", "lake", "files")
MOST_ROWS = 10_000
SHORTEST_KEY = 16
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,253}")


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Where to listen, whom to let in, what to read. SettingsError for what cannot be."""

    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = field(default=None, repr=False)
    """What a client must show. None: everybody who reaches the port is let in, so it listens on this machine only."""
    store: str = "files"
    """Which of ``STORES`` answers."""
    folder: Path = Path("data")
    """The file sink's folder, for the store ``files``."""
    topics: str = "market.*"
    """Which topics are followed where a broker is given; ``*`` stands for anything. Dead letters are left out."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which clients may ask, where that is not this machine only; none: any."""
    allowed_origins: tuple[str, ...] = ()
    """Pages of which hosts a browser may let ask (CORS), such as ``https://charts.example.com``; none."""
    requests_per_minute: int = 100
    """Of one client; so many may come at once. 0: any number."""
    most_rows: int = MOST_ROWS
    """The largest ``limit`` of a request."""
    queries: int = 8
    """Queries at a time."""
    timeout_ms: float = 10_000
    """For one query, its waiting included."""
    connections: int = 200
    listeners: int = 50
    """Clients of ``/v1/stream`` at a time."""
    listener_records: int = 1000
    """Records that wait for a listener; one that is behind by more is sent away."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = [
            *not_positive(self, "most_rows", "queries", "timeout_ms", "connections", "listeners", "listener_records"),
            *above(self, MOST_ROWS, "most_rows"),
            *above(self, 256, "queries"),
            *above(self, 10_000, "connections", "listeners"),
            *above(self, 100_000, "listener_records"),
        ]
        if self.requests_per_minute < 0:
            problems.append(f"requests_per_minute={self.requests_per_minute} is below 0")
        if self.store not in STORES:
            problems.append(f"store={self.store!r}{known(self.store, STORES)}")
        if self.key is not None and (len(self.key) < SHORTEST_KEY or not self.key.isascii() or not
                                     self.key.isprintable() or " " in self.key):
            problems.append(f"key= needs {SHORTEST_KEY} or more characters of ASCII without spaces, for it to be none "
                            "that can be guessed")
        if self.key is None and not self.here:
            problems.append(f"host={self.host!r} can be reached by others: set a key (K2_API_KEY), or listen on "
                            "127.0.0.1")
        problems += [f"allowed_hosts={one!r} is no host" for one in self.allowed_hosts if not _HOST.fullmatch(one)]
        problems += [f"allowed_origins={one!r} is no origin: https://host, with :port if any"
                     for one in self.allowed_origins if not _origin(one)]
        refuse(problems)

    @property
    def here(self) -> bool:
        """Whether only this machine can ask."""
        return is_loopback(self.host)


def _origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    whole = f"{parts.scheme}://{parts.netloc}"
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and whole == text
