"""A figure of a moment ago: made anew at once where that is quick, seldom where it takes long."""

from __future__ import annotations

import pytest

from k2conn.engine.accounting import moments
from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.accounting.moments import Moment


class Clock:
    """Stands unless it is told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(moments, "monotonic", found)
    return found


@pytest.mark.parametrize(
    ("takes", "waits", "made"),
    [(0.0005, 0.0, 2), (0.1, 1.8, 1), (0.1, 2.1, 2), (0.01, 0.19, 1), (0.01, 0.21, 2)],
)
def test_what_takes_long_is_made_seldom(clock: Clock, takes: float, waits: float, made: int) -> None:
    calls = []

    def make() -> int:
        clock.now += takes
        calls.append(clock.now)
        return len(calls)

    moment = Moment(make)
    assert moment.get() == 1
    clock.now += waits
    assert moment.get() == made
    assert len(calls) == made


def test_a_ledger_s_sums_that_are_shown_are_those_that_count_at_first(clock: Clock) -> None:
    ledger = Ledger("base", "BASE")
    account = ledger.account("trade", "A")
    account.received = 3
    assert ledger.by_stream_lately() == ledger.by_stream()
    assert ledger.totals_lately() == ledger.totals()
    account.received = 4
    account.last_received_us = 5
    assert ledger.totals_lately()["received"] == 4
    assert ledger.times_lately("trade")["last_received_us"] == 5
    assert ledger.times_lately("none")["last_received_us"] == 0
