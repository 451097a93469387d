"""Sinks whose secret is in a file: what they say on the next connection or request is what the file says by then."""

from __future__ import annotations

import asyncio
import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k2conn.settings import sink_settings
from k2conn.sinks.kafka.sink import registry_of
from k2conn.sinks.postgres.connection import _arguments
from k2conn.sinks.questdb import QuestDbWriter


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("first-secret")
    return path


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and what it is told in the header `Authorization`."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'[]' if "subjects" in self.path else b'{"dataset": [["QuestDB 9"]]}')

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


def test_the_registry(file: Path) -> None:
    with listener() as (url, heard):
        given = {"K2_KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", "K2_KAFKA_SCHEMA_REGISTRY_URL": url,
                 "K2_KAFKA_SCHEMA_REGISTRY_USERNAME": "me", "K2_KAFKA_SCHEMA_REGISTRY_PASSWORD_FILE": str(file)}
        registry = registry_of(sink_settings(given, "kafka").options)
        registry.check()
        file.write_text("second-secret")
        registry.check()
    assert heard == [basic("first-secret"), basic("second-secret")]


def test_questdb(file: Path) -> None:
    with listener() as (url, heard):
        given = {"K2_QUESTDB_ADDRESS": url, "K2_QUESTDB_TOKEN_FILE": str(file)}
        writer = QuestDbWriter(sink_settings(given, "questdb").options)
        asyncio.run(writer.open())
        file.write_text("second-secret")
        asyncio.run(writer.open())
    assert heard == ["Bearer first-secret", "Bearer second-secret"]


def test_postgres(file: Path) -> None:
    given = {"K2_POSTGRES_DSN": "postgresql://me@localhost/db", "K2_POSTGRES_PASSWORD_FILE": str(file)}
    options = sink_settings(given, "postgres").options
    assert _arguments(options, 1.0)["password"] == "first-secret"
    file.write_text("second-secret")
    assert _arguments(options, 1.0)["password"] == "second-secret"
