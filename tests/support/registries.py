"""A schema registry on loopback that says what a test wants it to say, and notes what it was asked."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from k2conn.sinks.kafka.registry import SchemaRegistry

Answers = Mapping[tuple[str, str], tuple[int, object]]
"""(method, path without its query) to status and JSON."""

DENIED = (403, {"error_code": 40301, "message": "User is denied operation"})
SUBJECT = "market.crypto.trades.x-value"
LATEST = ("GET", f"/subjects/{SUBJECT}/versions/latest")
REGISTER = ("POST", f"/subjects/{SUBJECT}/versions")
LOOK_UP = ("POST", f"/subjects/{SUBJECT}")
RULE, SET_RULE, GLOBAL_RULE = ("GET", f"/config/{SUBJECT}"), ("PUT", f"/config/{SUBJECT}"), ("GET", "/config")


class FakeRegistry:
    """Answers 404 to what is not said; ``asked`` are the calls so far, ``bodies`` what came with them."""

    def __init__(self, answers: Answers) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def written(self) -> list[tuple[str, str]]:
        """The calls that change something."""
        return [one for one in self.asked if one[0] == "PUT" or one == REGISTER]

    def client(self, registers: bool = True) -> SchemaRegistry:
        return SchemaRegistry(self.url, 5, registers=registers)


@contextmanager
def fake_registry(answers: Answers) -> Iterator[FakeRegistry]:
    registry = FakeRegistry(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            registry.bodies.append(json.loads(self.rfile.read(size)) if size else None)
            call = (self.command, self.path.partition("?")[0])
            registry.asked.append(call)
            status, found = registry.answers.get(call, (404, {"error_code": 40401, "message": "not found"}))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
