"""A venue says how often we ping, within bounds."""

from __future__ import annotations

import pytest

from k2conn.errors import RecordError
from tests.support.plans import STREAMS, plan_of

CONNECTION = """
connection:
  before:
    - {http: GET https://v.example/token, capture: {ms: ms, endpoint: endpoint}}
  url: "{$state.endpoint}"
  hosts: [ws.v.example, "*.feeds.example"]
  heartbeat: {every: "{$state.ms} ms", send: ping}
  steps: [{send: {op: sub, symbols: $symbols}, for: trade, expect: first-data}]
"""


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(18000, 18.0), (0, 1.0), ("0.000000001", 1.0), (1, 1.0), (999_999_999_999, 3600.0), (3_600_000, 3600.0)],
)
def test_the_period_is_held_within_bounds(said: object, seconds: float) -> None:
    beat = plan_of(CONNECTION, STREAMS).connections[0].heartbeat
    assert beat is not None
    assert beat.every({"ms": said}) == seconds


@pytest.mark.parametrize("said", [-5, "NaN", "1e9", "", None, {"a": 1}])
def test_what_is_no_period_is_an_error(said: object) -> None:
    beat = plan_of(CONNECTION, STREAMS).connections[0].heartbeat
    assert beat is not None
    with pytest.raises(RecordError):
        beat.every({"ms": said})


def test_hosts() -> None:
    assert plan_of(CONNECTION, STREAMS).connections[0].hosts == ("ws.v.example", "*.feeds.example")
