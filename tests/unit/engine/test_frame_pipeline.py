"""The way in: the frames of one read come out as they would one by one, with the same books."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.cli.loading import shipped
from k2conn.engine.conversation.request_frames import frame_text
from k2conn.engine.frame_pipeline import ConnectorState, FramePipeline
from k2conn.engine.resilience.replicas import ReplicaSet
from k2conn.plan import Plan
from tests.support.plans import WORLD, plan_of, trade, trades
from tests.support.shipped import load

NAMES = sorted(path.stem for path in shipped())
NOW, WALL = 5.0, 1_767_323_046_000_000


def pipelines(plan: Plan, legs: bool = False) -> list[FramePipeline]:
    symbols = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    connector_state = ConnectorState(plan, [stream.name for stream in plan.streams])
    replica = ReplicaSet(2).replica(0) if legs else None
    found = [FramePipeline(connector_state, connection, symbols, WORLD, replica) for connection in plan.connections]
    for one in found:
        one.session.opened = NOW
    return found


def outcome(plan: Plan, pipeline: FramePipeline, reads: list[list[str | bytes]]) -> tuple[Any, ...]:
    envelopes, actions = [], []
    for frames in reads:
        found, asked = pipeline.receive(frames, NOW, WALL)
        envelopes += found
        actions += asked
    plain = [(one.topic, one.key, one.value, one.timestamp_ms) for one in envelopes]
    return plain, list(map(str, actions)), pipeline.connector_state.ledger.report(), pipeline.silent_at(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("legs", [False, True], ids=["alone", "replica"])
def test_a_read_of_many_frames_is_as_many_reads_of_one(name: str, legs: bool) -> None:
    plan = load(name)
    said = [turn.value for example in plan.tests for turn in example.dialogue if turn.kind == "received"]
    frames: list[str | bytes] = [*map(frame_text, said), "{broken"]
    for at in range(len(plan.connections)):
        together = outcome(plan, pipelines(plan, legs)[at], [frames])
        alone = outcome(plan, pipelines(plan, legs)[at], [[frame] for frame in frames])
        assert together == alone


STALE = """
streams:
  trade:
    stale_after: 30s
    when: {ch: trade}
    each: data
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {sell: SELL}}
"""


def test_silence_is_counted_from_the_last_read() -> None:
    (pipeline,) = pipelines(plan_of(streams=STALE))
    envelopes, _ = pipeline.receive([trades(trade(1)), trades(trade(2))], NOW + 7, WALL)
    assert len(envelopes) == 2
    assert pipeline.silent_at(1) == NOW + 37
