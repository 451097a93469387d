"""A whole process that signs with a private key: the venue checks with the public one, and nothing shows the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from k2conn import exactjson
from tests.integration.test_run import environment
from tests.support.plans import HEAD, STREAMS, trade
from tests.support.warm_process import k2conn

CONNECTION = """
connection:
  url: ws://127.0.0.1:%d/ws
  sign: {over: "{$now_ms}GET/ws", key: $env.K2_VENUE_KEY, algorithm: %s}
  headers: {X-Time: "{$now_ms}", X-Signature: $signature}
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: first-data
"""
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {"ed25519": ED25519, "rsa-sha256": RSA, "rsa-pss-sha256": RSA}


def pem(algorithm: str) -> str:
    return KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def verify(algorithm: str, signature: bytes, text: bytes) -> None:
    """InvalidSignature where it is none."""
    if algorithm == "ed25519":
        ED25519.public_key().verify(signature, text)
    elif algorithm == "rsa-sha256":
        RSA.public_key().verify(signature, text, padding.PKCS1v15(), SHA256())
    else:
        RSA.public_key().verify(signature, text, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())


def let_in(connection: str, key: str, check: Callable[[Headers], str], folder: Path) -> None:
    """Runs a connector with its key in a file: it gets records from a venue that looks at its headers, and nothing that
    it says shows the key, or the secret that ``check`` finds in the headers.
    """
    shown = []

    def talk(client: ServerConnection) -> None:
        assert client.request is not None
        shown.append(check(client.request.headers))
        client.recv()
        try:
            for number in range(1000):
                client.send(exactjson.encode({"ch": "trade", "data": [trade(number)]}).decode())
                time.sleep(0.02)
        except ConnectionClosed:
            return

    with serve(talk, "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        spec, file = folder / "venue.yaml", folder / "key.pem"
        spec.write_text(HEAD + connection.replace("PORT", str(server.socket.getsockname()[1])) + STREAMS)
        file.write_text(key)
        done = subprocess.run(
            [sys.executable, "-m", "k2conn", "run", spec, "--sink", "console", "--max-records", "3", "--port", "-1",
             "--symbols", "BTC-USD", "--log-level", "debug"],
            cwd=folder, env=environment(K2_VENUE_KEY_FILE=str(file)), capture_output=True, text=True, timeout=120,
        )
        server.shutdown()
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert done.stdout.count('"type": "trade"') == 3
    assert len(shown) == 1
    assert not [line for line in key.splitlines()[1:-1] if line in said]
    assert shown[0] not in said


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_venue_lets_in_who_has_the_private_key(algorithm: str, tmp_path: Path) -> None:
    def check(headers: Headers) -> str:
        signature = headers["X-Signature"]
        verify(algorithm, base64.b64decode(signature), f"{headers['X-Time']}GET/ws".encode())
        return signature

    let_in(CONNECTION.replace("%d", "PORT") % algorithm, pem(algorithm), check, tmp_path)


TOKEN = """
connection:
  url: ws://127.0.0.1:PORT/ws
  sign:
    jwt: {header: {kid: mine}, claims: {sub: mine, nbf: $now_s}, lifetime: 2m}
    key: $env.K2_VENUE_KEY
    algorithm: ecdsa-p256-sha256
  headers: {Authorization: "Bearer {$signature}"}
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: first-data
"""


def test_a_venue_lets_in_who_shows_a_token(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def check(headers: Headers) -> str:
        token = headers["Authorization"].removeprefix("Bearer ")
        text, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        numbers = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        private.public_key().verify(numbers, text.encode(), ec.ECDSA(SHA256()))
        claims = exactjson.decode(base64.urlsafe_b64decode(text.partition(".")[2] + "=="))
        assert claims["exp"] - claims["nbf"] == 120
        assert abs(claims["nbf"] - time.time()) < 60
        return token

    let_in(TOKEN, key, check, tmp_path)


def test_what_is_wrong_with_a_key_is_said_at_start(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    spec.write_text(HEAD + CONNECTION % (1, "ed25519") + STREAMS)
    done = k2conn("run", spec, "--sink", "console", "--port", "-1", cwd=tmp_path,
                  env=environment(K2_VENUE_KEY=pem("rsa-sha256")))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "K2_VENUE_KEY: ed25519 signs with an Ed25519 key, and this is an RSA key" in done.stderr
    assert pem("rsa-sha256").splitlines()[1] not in done.stdout + done.stderr


TESTS = """
tests:
  - name: a login that is signed, and a trade
    symbols: [BTC-USD]
    dialogue:
      - sent: {op: login, sign: "SIGNED"}
      - sent: {op: sub, symbols: [BTC-USD]}
      - received: {ch: trade, data: [{s: BTC-USD, i: 7, p: 1.5, q: 2, t: 1767323045678, d: buy}]}
        records: [{price: "1.5"}]
"""


def test_without_a_key_the_variable_s_name_stands_for_it_in_tests_and_certifications(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    signed = base64.b64encode(hmac.new(b"K2_VENUE_KEY", b"1767323045000GET/ws", hashlib.sha256).digest()).decode()
    login = CONNECTION.replace("  steps:\n", "  steps:\n    - send: {op: login, sign: $signature}\n") % (1, "ed25519")
    trades = STREAMS[: STREAMS.index("  quote:")]
    spec.write_text(HEAD + login.replace("ws://127.0.0.1:1", "wss://venue.example") + trades
                    + TESTS.replace("SIGNED", signed))
    passed = k2conn("test", spec, cwd=tmp_path, env=environment())
    assert "1 passed, 0 failed" in passed.stdout, passed.stdout
    key = tmp_path / "key.pem"
    key.write_text(pem("ed25519"))
    for variables in ({}, {"K2_VENUE_KEY_FILE": str(key)}):
        given = environment(**variables)
        done = k2conn("certify", spec, "--duration", "1s", "--faults", "cut", cwd=tmp_path, env=given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "venue: passed" in done.stdout


def test_explain_says_how_it_is_signed(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    spec.write_text(HEAD + CONNECTION % (1, "rsa-pss-sha256") + STREAMS)
    done = k2conn("explain", spec, cwd=tmp_path, env=environment())
    assert "{$now_ms}GET/ws   by rsa-pss-sha256 with $env.K2_VENUE_KEY (pem), as base64" in done.stdout, done.stdout
