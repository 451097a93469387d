"""Mock exchanges and certification of sources that are no WebSockets, as processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD

STREAM = """
streams:
  trade:
    when: {ch: trade}
    each: data
    fields:
      symbol: %s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
ROW = '{s: BTC-USD, i: 7, p: "1.5", q: "2", t: 1767323040000, d: buy}'
FRAME = """
tests:
  - name: a trade
    symbols: [BTC-USD]
    received: {ch: trade, data: [%s]}
    records: [{symbol: BTCUSD, trade_id: VENUE-7}]
"""
STEPS = """
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
"""
DIALOGUE = """
tests:
  - name: subscribe, then a trade
    dialogue:
      - sent: {op: sub, symbols: [BTC-USD, ETH-USD]}
      - received: {op: sub, ok: true, s: BTC-USD}
      - received: {op: sub, ok: true, s: ETH-USD}
      - received: {ch: trade, data: [%s]}
        records: [{symbol: BTCUSD, trade_id: VENUE-7}]
"""
POLL = """
connection:
  url: https://venue.example/trades?symbol={$symbol}&after={$state.after}
  per: symbol
  poll: 200ms
  initial: {symbol: $symbol, after: 0}
  capture: [{when: {data: $present}, into: after, value: "data[-1].i", keep: true}]
"""
FILES = {
    "poll": POLL + STREAM % "$state.symbol" + FRAME % ROW.replace("s: BTC-USD, ", ""),
    "lines": "\nconnection: {url: 'https://venue.example/stream?symbols={$symbols}'}\n" + STREAM % "s" + FRAME % ROW,
    "events": (
        "\nconnection: {url: 'https://venue.example/stream', framing: events}\n" + STREAM % "s" + FRAME % ROW
    ),
    "tcp": (
        "\nconnection:\n  url: tcps://venue.example:9000\n  framing: {length: 2, byte_order: little}\n"
        + STEPS[1:] + STREAM % "s" + DIALOGUE % ROW
    ),
    "exec": "\nconnection:\n  url: exec://bridge\n" + STEPS[1:] + STREAM % "s" + DIALOGUE % ROW,
}


@pytest.fixture(params=list(FILES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / "venue.yaml"
    found.write_text(HEAD + FILES[request.param])
    return found


def k2conn(file: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*arguments, cwd=file.parent, env=environment(**variables), timeout=120)


def test_a_mock_is_what_its_variables_lead_to(file: Path) -> None:
    with warm_process.started(
        "mock", "venue.yaml", "--rate", "5", cwd=file.parent, env=environment(),
        stdout=subprocess.PIPE, text=True,
    ) as mock:
        try:
            assert mock.stdout is not None
            name, _, value = mock.stdout.readline().strip().partition("=")
            done = k2conn(
                file, "run", "venue.yaml", "--sink", "console", "--port", "-1", "--max-records", "6", "--duration",
                "60s", **{name: value},
            )
        finally:
            mock.send_signal(signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["record"] for line in done.stdout.splitlines()]
    assert {one["symbol"] for one in found} == {"BTCUSD", "ETHUSD"}
    assert name == ("K2_VENUE_ALLOW_EXEC" if "exec:" in file.read_text() else "K2_VENUE_WEBSOCKET_URL")


def test_it_is_certified(file: Path) -> None:
    done = k2conn(
        file, "certify", "venue.yaml", "--sink", "file", "--duration", "3s", "--rate", "10", "--faults",
        "garbage,duplicates,cut",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"\bbalanced\b", done.stdout)) == 2
    assert "venue: passed" in done.stdout


def test_an_address_of_another_transport_is_refused(file: Path) -> None:
    done = k2conn(file, "run", "venue.yaml", "--duration", "1s", "--port", "-1", K2_VENUE_WEBSOCKET_URL="ws://127.0.0.1:9")
    assert done.returncode == 2
    assert "another transport" in done.stderr
