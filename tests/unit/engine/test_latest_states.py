"""What is kept where a candle is over when the next one begins: bounded, whatever a venue sends."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn import exactjson
from k2conn.engine.mapping import latest_states
from k2conn.engine.mapping.latest_states import Arrival, LatestStates
from tests.support.plans import plan_of
from tests.unit.engine.test_states import CONNECTION, UNFLAGGED, Feed, candle

KIB = 1024


def arrival(message: Any, frame: str | None = None) -> Arrival:
    return Arrival(message, message, exactjson.encode(message).decode() if frame is None else frame, 1, False)


def test_a_frame_of_many_symbols_counts_once_until_the_last_one_leaves_it() -> None:
    states, shared = LatestStates(100 * KIB), arrival({"pad": "x" * 20 * KIB})
    for number in range(50):
        assert states.take("candle", f"S{number}", 0, shared, 1000) == (False, None, None)
    once = states.bytes
    assert 20 * KIB < once < 21 * KIB
    for number in range(49):
        states.take("candle", f"S{number}", 1, arrival({"n": number}), 1000)
    assert states.bytes > once
    states.forget("candle", "S49")
    assert states.bytes < once
    for number in range(49):
        states.forget("candle", f"S{number}")
    assert states.bytes == 0


def test_a_state_that_does_not_fit_says_so_and_the_one_before_is_not_taken_for_it() -> None:
    states = LatestStates(64 * KIB)
    states.take("candle", "A", 0, arrival({"n": 1}), 1000)
    over, last, unkept = states.take("candle", "A", 0, arrival({"pad": "x" * 80 * KIB}), 1000)
    assert (over, last) == (False, None)
    assert unkept is not None
    assert unkept.reason == "no-room"
    assert states.take("candle", "A", 1, arrival({"n": 2}), 1000) == (False, None, None)  # nothing is known of span 0
    assert states.take("candle", "A", 0, arrival({"n": 3}), 1000) == (True, None, None)  # but that it is over


@pytest.mark.parametrize("value", [{}, [], 1.5, "x"])
def test_what_a_message_takes_counts_not_only_its_text(value: Any) -> None:
    """A message of a megabyte can be twenty in memory."""
    states = LatestStates()
    kept = 0
    for number in range(20):
        message = {"n": number, "junk": [value] * 100_000}
        kept += states.take("candle", f"S{number}", 0, arrival(message, "short"), 1000)[2] is None
    assert 1 < kept < 10
    assert states.bytes <= latest_states.MOST_BYTES


def test_symbols_are_bounded_over_all_streams() -> None:
    states = LatestStates()
    found = [states.take(f"candle_{n % 3}", f"S{n}", 0, arrival({"n": n}), 10)[2] for n in range(30)]
    assert [one is None for one in found] == [True] * 10 + [False] * 20


def test_beyond_the_bounds_each_state_is_in_a_dead_letter_and_the_books_are_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latest_states, "MOST_BYTES", 64 * KIB)
    feed = Feed(plan_of(CONNECTION, UNFLAGGED))
    found = []
    for minute in range(8):
        found += feed.records(candle(minute, str(100 + minute), pad="x" * 100 * KIB * (minute % 4 == 3)))
    assert [one["close"] for one in found] == ["100", "101", "102", "104", "105", "106"]  # 103 did not fit
    ledger = feed.connector_state.ledger
    assert ledger.dead_reasons == {"no-room": 2}
    assert ledger.balanced


def test_what_is_asked_for_anew_begins_anew() -> None:
    states = LatestStates()
    states.take("candle", "A", 5, arrival({"n": 1}), 1000)
    states.forget("candle", "A")
    states.forget("candle", "B")
    states.forget("quote", "A")
    assert states.bytes == 0
    assert states.take("candle", "A", 4, arrival({"n": 2}), 1000) == (False, None, None)
