"""Sessions played again: answers that came on an open connection."""

from __future__ import annotations

from typing import Any

from k2conn.batch.replayed_sessions import ReplayedSessions
from k2conn.observe import SessionPlace
from k2conn.recording.entries import EntryKind, RecordedEntry
from tests.support.plans import STREAMS, plan_of

CONNECTION = """
connection:
  url: wss://venue.example/ws
  before: [{http: GET https://venue.example/token, capture: {token: token}}]
  stale_after: "0"
  steps:
    - {send: {op: login, token: $state.token}, renew: {every: 1m, before: true}}
    - {send: {op: sub, symbols: $symbols}, for: trade, expect: first-data}
"""
PLACE = SessionPlace("venue", "main-1", 7)
SEED = "00000000-0000-4000-8000-000000000000"
SYMBOL = ["BTC-USD", "BTCUSD", "BTC", "USD", []]


def test_a_call_that_was_made_again_is_learnt_from() -> None:
    sessions = ReplayedSessions(plan_of(CONNECTION, STREAMS), None, {}, [])

    def take(second: int, kind: EntryKind, **more: Any) -> None:
        entry = RecordedEntry(second * 1_000_000, second * 1_000_000, kind, PLACE, "", False, more)
        sessions.take(entry, float(second), second * 1_000_000)

    take(99, EntryKind.BEGUN, streams=["trade"], kept=False)
    take(100, EntryKind.ANSWERED, request=0, answer={"token": "T1"})
    take(101, EntryKind.OPENED, connection="main", shard=0, replica=None, symbols=[SYMBOL], seed=SEED)
    (pipeline,) = sessions._open.values()
    assert pipeline is not None
    assert pipeline.session.scope.state["token"] == "T1"
    take(170, EntryKind.ANSWERED, request=0, answer={"token": "T2"})
    assert pipeline.session.scope.state["token"] == "T2"
    assert pipeline.session._flow.renewals.deadline == 230.0
