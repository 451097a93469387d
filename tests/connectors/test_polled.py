"""Shipped connectors that ask again and again: after a lost connection nothing that happened meanwhile is left out."""

from __future__ import annotations

import pytest

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Json
from tests.support.shipped import load

HOUR = 3_600_000_000
BEGIN = 1_767_323_045_000_000
ANSWERS = {"kalshi": '{"cursor": "", "trades": []}'}
"""An answer without news of each."""


@pytest.mark.parametrize("name", ANSWERS)
def test_the_next_connection_asks_from_where_the_first_began(name: str) -> None:
    plan = load(name)
    streams = tuple(stream.name for stream in plan.streams)
    symbol = plan.symbols.resolve(plan.symbols.default[0])
    assert symbol is not None
    kept: dict[str, Json] = {}

    def address(wall: int) -> str:
        context = SessionContext(lambda: "", {})
        pipeline = FramePipeline(ConnectorState(plan, streams, 0), plan.connections[0], [symbol], context)
        pipeline.session.begin(wall, kept)
        asked = pipeline.session.url(0, wall)
        pipeline.session.open(0.0, wall)
        pipeline.receive([ANSWERS[name]], 0.0, wall)
        assert pipeline.session.url(0, wall) == asked
        return asked

    assert address(BEGIN) == address(BEGIN + HOUR)
