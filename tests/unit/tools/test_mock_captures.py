"""What a mock's frames need to have been captured: of a table what each of its examples needs."""

from __future__ import annotations

from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.frame_generator import SyntheticFrames
from k2conn.tools.mock.request_recognition import RequestedSubscription, VenueSymbols
from tests.support.plans import plan_of
from tests.support.shipped import load


def test_each_example_is_of_a_channel_that_is_known() -> None:
    plan = load("bitfinex")
    symbols = VenueSymbols(plan)
    symbol = plan.symbols.resolve(plan.symbols.default[0])
    assert symbol is not None
    mock = MockConnection(plan, plan.connections[0], symbols, {}, seed=1)
    source = mock.frame_source(RequestedSubscription("trade", symbol))
    assert isinstance(source, SyntheticFrames)
    channels = {source.next(1_790_000_000_000_000 + at).text.decode().split(",")[0][1:] for at in range(6)}
    assert len(channels) > 1, "examples of several channels"
    assert channels <= source.captured["trades_of"].keys()


SCALED = """connection:
  url: wss://venue.example/ws
  steps: [{send: {op: sub, args: $symbols}, for: trade, expect: {accepted: {op: subbed}}}]
  capture: [{when: {ch: instrument}, into: digits_of, key: s, value: d}, {when: {ch: session}, into: day, value: day}]
"""
OF_ITEMS = """streams:
  trade:
    when: {ch: t}
    fields:
      symbol: s
      trade_id: i
      price: {from: p, scale: {digits: s, look_up: $state.digits_of}}
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {value: UNKNOWN}
"""
SHOWN = """tests:
  - name: said before its data
    symbols: [BTC-USD, ETH-USD]
    dialogue:
      - sent: {op: sub, args: [BTC-USD, ETH-USD]}
      - received: {op: subbed}
      - received: {ch: session, day: 20260102}
      - received: {ch: instrument, s: BTC-USD, d: 2}
      - received: {ch: instrument, s: ETH-USD, d: 3}
      - received: {ch: t, s: BTC-USD, i: 1, p: 6400000, q: 1, t: 1767323045678}
        records: [{price: "64000"}]
"""


def test_what_data_cannot_be_read_without_is_said_before_it() -> None:
    """Of a symbol that the tests have, in their words; of another one with its name; what names none, as it is."""
    plan = plan_of(SCALED, OF_ITEMS + SHOWN)
    mock = MockConnection(plan, plan.connections[0], VenueSymbols(plan), {}, seed=1)
    said = {}
    for name in ("ETH-USD", "XRP-USD"):
        symbol = plan.symbols.resolve(name)
        assert symbol is not None
        said[name] = mock.announcements(RequestedSubscription("trade", symbol))
    session = {"ch": "session", "day": 20260102}
    assert said == {
        "ETH-USD": [session, {"ch": "instrument", "s": "ETH-USD", "d": 3}],
        "XRP-USD": [session, {"ch": "instrument", "s": "XRP-USD", "d": 2}],
    }
