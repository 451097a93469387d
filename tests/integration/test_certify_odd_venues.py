"""`certify` of what other kinds of venues do: times of day without a date, binary layouts that name the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.certify.certification import Certification
from k2conn.tools.certify.fault_scenarios import chosen
from k2conn.tools.certify.report import failures
from k2conn.tools.mock.faults import corrupted
from tests.integration.test_run import environment
from tests.support.plans import HEAD
from tests.support.warm_process import k2conn

CONNECTION = """
connection:
  url: wss://venue.example/ws
  %s
  steps: [{send: {op: sub, symbols: $symbols}, for: trade, expect: first-data}]
streams:
  trade:
    when: %s
    fields:
      {symbol: s, trade_id: i, price: p, quantity: q, timestamp: %s, side: {value: UNKNOWN}}
tests:
  - name: a trade
    received_at: "2026-01-05T14:30:01Z"
    dialogue:
      - sent: {op: sub, symbols: [BTC-USD, ETH-USD]}
      - received: {ch: trade, s: BTC-USD, i: 7, p: 64000.5, q: 2, t: %s}
        records: [{price: "64000.5"}]
"""
LAYOUT = """codec:
    binary: layout
    layout:
      byte_order: big
      frame: {ch: text 5, rest: body}
      body: {by: ch, of: {trade: trade}, else: other}
      trade: {s: text 8, i: u64, p: {type: u64, exponent: -2}, q: u64, t: u64}
      other: {unknown: bytes}
  ignore: [{rest.kind: other}]"""
TIME_OF_DAY = CONNECTION % (
    "stale_after: 60s", "{ch: trade}", "{from: t, unit: ms, zone: America/New_York, date: nearest}", 34_200_500,
)
NAMED_REST = (
    (CONNECTION % (LAYOUT, "{rest.kind: trade}", "{from: t, unit: ms}", 1767323045678))
    .replace("    fields:", "    each: rest\n    fields:")
    .replace("{ch: trade, s: BTC-USD, i: 7, p: 64000.5, q: 2, t: 1767323045678}",
             "{ch: trade, rest: {kind: trade, s: BTC-USD, i: 7, p: 64000.5, q: 2, t: 1767323045678}}")
)


@pytest.mark.parametrize("text", [TIME_OF_DAY, NAMED_REST], ids=["time-of-day", "named-rest"])
def test_it_is_proven(text: str, tmp_path: Path) -> None:
    plan, problems = check_text("venue.yaml", HEAD + text, Path())
    assert plan is not None, [str(one) for one in problems]
    settings = SinkSettings(kind="file", options=FileSettings(folder=tmp_path))
    outcome = asyncio.run(Certification(plan, settings, chosen("corrupt"), duration=0, rate=20.0).run())
    assert failures(outcome) == []
    assert all(row.published > 5 and row.quarantined > 0 and row.lost == 0 for row in outcome.proof.rows)


def test_a_changed_frame_that_can_still_be_read_loses_its_end() -> None:
    assert corrupted(b"\1abc") == b"\xfeabc"
    assert corrupted(b"\1abc", lambda frame: frame[0] == 0xFE) == b"\1ab"
    assert corrupted("T;BTC;1.5;2", lambda frame: str(frame).count(";") == 3) == "T;BTC"


def test_a_word_that_stands_for_a_secret_in_tests_is_a_part_of_others(tmp_path: Path) -> None:
    """Broken frames with that word in them become dead letters as they came: what a file shows is no secret."""
    spec = tmp_path / "venue.yaml"
    spec.write_text(HEAD + """
connection:
  url: wss://venue.example/ws
  steps: [{send: {op: sub, symbols: $symbols, key: $env.K2_VENUE_KEY}, for: trade, expect: first-data}]
streams:
  trade:
    when: {ch: trade}
    fields:
      {symbol: s, trade_id: paging_token, price: p, quantity: q, timestamp: $received_at, side: {value: UNKNOWN}}
tests:
  - name: a trade
    env: {K2_VENUE_KEY: token}
    dialogue:
      - sent: {op: sub, symbols: [BTC-USD, ETH-USD], key: token}
      - received: {ch: trade, s: BTC-USD, paging_token: 7, p: 64000.5, q: 2}
        records: [{price: "64000.5"}]
""")
    done = k2conn("certify", spec, "--duration", "1s", "--faults", "corrupt", cwd=tmp_path, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "venue: passed" in done.stdout
