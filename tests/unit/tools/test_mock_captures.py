"""What a mock's frames need to have been captured: of a table what each of its examples needs."""

from __future__ import annotations

from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.frame_generator import SyntheticFrames
from k2conn.tools.mock.request_recognition import RequestedSubscription, VenueSymbols
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
