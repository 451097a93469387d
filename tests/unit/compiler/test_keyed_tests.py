"""Tests of connectors that need keys: played with what the test says, or with the variables' own names."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.engine.planning.forecast import forecast
from k2conn.tools.connector_tests import run_test
from tests.support.plans import HEAD, STREAMS

CONNECTION = """
connection:
  url: "wss://venue.example/ws?key={$env.K2_VENUE_KEY}"
  sign: {over: "{$now_s}GET/verify", key: $env.K2_VENUE_SECRET, key_encoding: base64}
  steps:
    - name: login
      send: {op: login, key: $env.K2_VENUE_KEY, sign: $signature, at: "{$now_s}"}
      expect: {accepted: {op: login, ok: true}, refused: {op: login, ok: false}, reason: why}
    - send: {op: sub, s: $symbols}
      for: trade
      expect: first-data
"""
DIALOGUE = """
tests:
  - name: login
    symbols: [BTC-USD]
    streams: [trade]
    env: {K2_VENUE_SECRET: c2VjcmV0}
    dialogue:
      - url: wss://venue.example/ws?key=K2_VENUE_KEY
      - sent: {op: login, key: K2_VENUE_KEY, sign: SIGNATURE, at: "1767323045"}
      - received: {op: login, ok: true}
      - sent: {op: sub, s: [BTC-USD]}
"""


def played(tests: str) -> list[str]:
    plan, problems = check_text("venue.yaml", HEAD + CONNECTION + STREAMS + tests, Path())
    assert plan is not None, [str(one) for one in problems]
    return [str(one) for example in plan.tests for one in run_test(plan, example)]


def signed(secret: bytes) -> str:
    import hashlib
    import hmac

    return hmac.new(secret, b"1767323045GET/verify", hashlib.sha256).hexdigest()


def test_a_signed_login_is_played() -> None:
    assert played(DIALOGUE.replace("SIGNATURE", signed(b"secret"))) == []
    (wrong,) = played(DIALOGUE.replace("SIGNATURE", signed(b"other")))
    assert signed(b"secret") in wrong


def test_a_key_that_cannot_sign_is_the_reason_that_nothing_was_sent() -> None:
    first, *_ = played(DIALOGUE.replace("    env: {K2_VENUE_SECRET: c2VjcmV0}\n", ""))
    assert "the connection was closed (settings: K2_VENUE_SECRET: the signing key is no base64)" in first


def test_a_variable_that_the_file_does_not_read_is_a_problem() -> None:
    text = HEAD + CONNECTION + STREAMS + DIALOGUE.replace("K2_VENUE_SECRET: c2", "K2_VENUE_SECRE: c2")
    plan, problems = check_text("venue.yaml", text, Path())
    assert plan is None
    assert any("reads no environment variable 'K2_VENUE_SECRE'; did you mean" in one.text for one in problems)


@pytest.mark.parametrize("word", ["$env.K2_VENUE_KEY", "$signature"])
def test_a_plan_shows_the_frames_by_the_secret_s_name(word: str) -> None:
    plan, _ = check_text("venue.yaml", HEAD + CONNECTION + STREAMS, Path())
    assert plan is not None
    symbols = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    (socket,) = forecast(plan, plan.streams[:1], symbols)
    assert word in socket.frames[0]
    assert socket.later == ()
