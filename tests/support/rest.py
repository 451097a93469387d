"""A venue's REST API on a loopback port, answering what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from k2conn import exactjson


@dataclass
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]


@dataclass
class Answer:
    """What is answered; ``body`` is JSON, or bytes as they are."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Rest:
    """A running server and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def rest(answer: Callable[[Asked], Answer]) -> Iterator[Rest]:
    """Serves until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            asked = Asked(parts.path, query, dict(self.headers))
            found.asked.append(asked)
            given = answer(asked)
            body = given.body if isinstance(given.body, bytes) else exactjson.encode(given.body)
            self.send_response(given.status)
            for key, value in {**given.headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Rest(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
