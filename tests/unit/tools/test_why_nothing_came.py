"""A test that expects a record of a frame that gives none is told what the frame was instead."""

from __future__ import annotations

import pytest

from k2conn.tools.connector_tests import run_test
from tests.support.plans import plan_of

CONNECTION = """connection:
  url: wss://venue.example/ws
  steps: [{send: {op: sub, args: $symbols}, for: trade, expect: first-data}]
  ignore: [{ch: info}]
"""
STREAMS = """streams:
  trade:
    when: {ch: t}
    each: data
    drop_when: {test: true}
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: $received_at, side: {value: UNKNOWN}}
"""
TEST = """tests:
  - name: one record
    symbols: [BTC-USD]
    received: %s
    records: [{price: "1"}]
"""


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        ("{ch: t, data: [{s: BTC-USD, i: 1, p: 1, q: 1}]}", None),
        ("{ch: info}", "0: none; a word of the connection takes the message (ignore, answer, a reply or an error)"),
        ("{ch: x}", "0: none; no rule knows the message: the `when` of no stream holds"),
        ("{ch: t, data: [{s: BTC-USD, i: 1, p: 1, q: 1, test: true}]}",
         "0: none; 1 item was left out as the stream says"),
        ("{ch: t, data: []}", "0: none"),
    ],
)
def test_what_a_frame_was_that_gave_no_record(frame: str, found: str | None) -> None:
    plan = plan_of(CONNECTION, STREAMS + TEST % frame)
    assert [one.found for one in run_test(plan, plan.tests[0])] == ([found] if found else [])
