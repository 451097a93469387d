"""A whole process whose venue repeats its keys: they are in nothing that it says, in no form."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from websockets.sync.server import ServerConnection, serve

from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS

KEY = "AKIA/s3cr3t+k€y"
TOKEN = "token-of-the-venue-0123"
FORMS = [KEY, json.dumps(KEY)[1:-1], quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode(),
         base64.b64encode(f"me:{KEY}".encode()).decode(), KEY.encode().hex(), TOKEN]
CONNECTION = """
connection:
  before:
    - {http: GET http://127.0.0.1:%d/token, capture: {token: token}}
  url: ws://127.0.0.1:%d/ws?token={$state.token}
  sign: {over: "{$now_ms}", key: $env.K2_VENUE_KEY}
  steps:
    - send: {op: sub, symbol: $symbol, key: $env.K2_VENUE_KEY, sign: $signature}
      for: trade
      expect: {accepted: {op: ok}, refused: {op: bad}, symbol: s, reason: why}
  errors: {when: {op: oops}, reason: why}
  reconnect: {when: {op: bye}, reason: why, base: 50ms, cap: 100ms}
"""


class EchoingVenue:
    """Says whatever it was told, in every kind of message that is reported somewhere."""

    def __init__(self) -> None:
        self.signatures: list[str] = []

    def talk(self, client: ServerConnection) -> None:
        told = json.loads(client.recv())
        self.signatures.append(told["sign"])
        for form in (*FORMS, told["sign"]):
            client.send(json.dumps({"op": "bad", "s": "BTC-USD", "why": f"bad request, key {form}"}))
            client.send(json.dumps({"op": "oops", "why": f"bad key {form}"}))
            client.send(json.dumps({"hello": form}))
            client.send(json.dumps({form: form}))
            client.send(json.dumps({"ch": "trade", "data": [{"s": form, "i": form, "p": form, "q": form, "t": form}]}))
            client.send("{" + form)
        client.send(json.dumps({"op": "bye", "why": f"bad key {told['sign']} {KEY}"}))
        time.sleep(1)
        client.close(1008, f"bad key {KEY}")


def asked(port: int) -> str:
    """All that the port says."""
    said = ""
    for path in ("/health", "/ready", "/metrics"):
        try:
            said += urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).read().decode()
        except urllib.error.HTTPError as error:
            said += error.read().decode()
        except urllib.error.URLError:  # not yet, or no longer
            continue
    return said


def tokens() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


def serve_tokens(server: socket.socket) -> None:
    body = json.dumps({"token": TOKEN}).encode()
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_is_said_has_a_key(tmp_path: Path, form: str) -> None:
    from threading import Thread

    venue = EchoingVenue()
    server, token_port = tokens()
    Thread(target=serve_tokens, args=(server,), daemon=True).start()
    with serve(venue.talk, "127.0.0.1", 0) as socket_server:
        Thread(target=socket_server.serve_forever, daemon=True).start()
        venue_port = socket_server.socket.getsockname()[1]
        file = tmp_path / "venue.yaml"
        file.write_text(HEAD + CONNECTION % (token_port, venue_port) + STREAMS)
        port = free_port()
        process = warm_process.started(
            "run", str(file), "--port", str(port), "--folder", str(tmp_path / "data"),
            "--summary", str(tmp_path / "summary.json"), "--log-level", "debug", "--symbols", "BTC-USD",
            env=environment(K2_VENUE_KEY=KEY, K2_LOG_FORMAT=form), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
        said = ""
        until = time.monotonic() + 60
        while time.monotonic() < until and len(venue.signatures) < 2 and process.poll() is None:
            time.sleep(0.2)
            if venue.signatures:
                said += asked(port)
        said += asked(port)
        process.terminate()
        said += process.communicate(timeout=60)[0].decode()
        socket_server.shutdown()
    server.close()
    files = [one for one in tmp_path.rglob("*") if one.is_file() and one != file]
    said += "".join(one.read_bytes().decode("utf-8", "replace") for one in files)
    assert venue.signatures, said[-2000:]
    assert said.count("[hidden]") > 50
    assert any("dlq" in str(one) for one in files)
    found = [one for one in (*FORMS, *venue.signatures, "AKIA", "s3cr3t") if one in said]
    assert not found, [said[max(0, said.find(one) - 200) : said.find(one) + 50] for one in found]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
