"""Sums that are only shown: made anew at once where that is quick, seldom where it takes long."""

from __future__ import annotations

import pytest

from k2conn.engine.accounting.ledger import Ledger
from k2conn.runner import shown_sums
from k2conn.runner.shown_sums import Moment, ShownSums


class Clock:
    """Stands unless it is told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(shown_sums, "monotonic", found)
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
    account, shown = ledger.account("trade", "A"), ShownSums(ledger)
    account.received = 3
    assert shown.by_stream() == ledger.by_stream()
    assert shown.totals() == ledger.totals()
    account.received = 4
    account.last_received_us = 5
    assert shown.totals()["received"] == 4
    assert shown.times("trade")["last_received_us"] == 5
    assert shown.times("none")["last_received_us"] == 0
