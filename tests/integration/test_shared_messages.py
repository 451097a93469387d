"""Messages that are a trade and a quote (`also`), played by the mock and proven by `certify`: each item of each stream
is accounted for, also where only one of the streams runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.sinks.file import FileSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.certify.certification import Certification, CertificationOutcome
from k2conn.tools.certify.fault_scenarios import chosen
from k2conn.tools.certify.report import failures
from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.request_recognition import VenueSymbols
from tests.support.plans import HEAD
from tests.unit.engine.test_several_routes import BOTH, ROW

CONNECTION = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, symbols: $symbols}
      for: [trade, quote]
      expect: {accepted: {op: sub, ok: true}, symbol: s}
"""
TESTS = """
tests:
  - name: subscribe, then a trade and a quote
    symbols: [BTC-USD]
    dialogue:
      - sent: {op: sub, symbols: [BTC-USD]}
      - received: {op: sub, ok: true, s: [BTC-USD]}
      - received: '{"ch":"ticks","data":[%s]}'
        records: [{price: "1.5", side: BUY}, {bid_price: "1.4", ask_price: "1.6"}]
""" % (ROW % 7)


def certified(folder: Path, streams: tuple[str, ...] | None) -> CertificationOutcome:
    plan, problems = check_text("venue.yaml", HEAD + CONNECTION + BOTH + TESTS, Path())
    assert plan is not None, [str(one) for one in problems]
    settings = SinkSettings(kind="file", options=FileSettings(folder=folder))
    given = {} if streams is None else {"streams": streams}
    faults = chosen("duplicates,corrupt,cut")
    return asyncio.run(Certification(plan, settings, faults, duration=0, rate=20.0, **given).run())


REPLIED = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {ch: trade, first: true}, data: true, within: 5s}
streams:
  trade:
    when: {ch: trade}
    fields:
      {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms}, side: {value: UNKNOWN}}
tests:
  - name: the answer is a trade, too
    symbols: [BTC-USD]
    dialogue:
      - sent: {op: sub, symbols: [BTC-USD]}
      - received: {ch: trade, first: true, s: BTC-USD, i: 7, p: 1.5, q: 2, t: 1767323045678}
        records: [{price: "1.5"}]
      - received: {ch: trade, s: BTC-USD, i: 8, p: 1.6, q: 2, t: 1767323045679}
        records: [{price: "1.6"}]
"""


def test_an_answer_that_is_data_is_learnt_as_both() -> None:
    plan, problems = check_text("venue.yaml", HEAD + REPLIED, Path())
    assert plan is not None, [str(one) for one in problems]
    symbols = VenueSymbols(plan)
    mock = MockConnection(plan, plan.connections[0], symbols, {}, seed=1)
    answered = mock.respond('{"op": "sub", "symbols": ["BTC-USD"]}', Faults())
    assert [one["first"] for one in answered.replies] == [True]
    assert mock.warnings == []
    assert mock.streams == {"trade"}


@pytest.mark.parametrize("streams", [None, ("quote",), ("trade",)])
def test_each_stream_s_items_are_accounted_for(tmp_path: Path, streams: tuple[str, ...] | None) -> None:
    outcome = certified(tmp_path, streams)
    assert failures(outcome) == []
    rows = {(row.stream, row.symbol): row for row in outcome.proof.rows}
    assert {stream for stream, _ in rows} == set(streams or ("trade", "quote"))
    assert all(row.published > 20 and row.quarantined > 0 and row.lost == 0 for row in rows.values())
    if streams is None:
        assert rows["trade", "BTCUSD"].sent == rows["quote", "BTCUSD"].sent, "a message brings one of each"
