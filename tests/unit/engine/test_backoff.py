"""Delays between attempts: random below a growing bound."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.plan import Backoff


def bounds(policy: Backoff, count: int) -> list[float]:
    delays = BackoffDelays(policy, lambda: 1.0)
    return [delays.next() for _ in range(count)]


def test_the_bound_doubles_up_to_its_cap() -> None:
    assert bounds(Backoff(), 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert bounds(Backoff(base=5, factor=3, cap=40), 4) == [5, 15, 40, 40]


def test_months_of_attempts_do_not_overflow() -> None:
    assert bounds(Backoff(factor=10), 5000)[-1] == 60


def test_the_delay_is_anywhere_below_the_bound() -> None:
    chance = random.Random(7)
    found = [BackoffDelays(Backoff(base=10), chance.random).next() for _ in range(1000)]
    assert min(found) < 0.1
    assert max(found) > 9.9
    assert 4.5 < sum(found) / 1000 < 5.5


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 300), st.integers(0, 100))
def test_the_least_delay_is_kept(chance: float, least: float, attempts: int) -> None:
    delays = BackoffDelays(Backoff(), lambda: chance)
    for _ in range(attempts):
        delays.next()
    assert least <= delays.next(least) <= max(least, 60)


def test_only_what_lasted_begins_anew() -> None:
    delays = BackoffDelays(Backoff(), lambda: 1.0)
    delays.next()
    delays.next()
    delays.proved()
    assert delays.next() == 4
    delays.reset()
    assert delays.next() == 1


def test_a_connection_stands_when_it_lasts_as_long_as_the_longest_delay_or_a_minute() -> None:
    assert BackoffDelays(Backoff(cap=10), lambda: 1.0).stands == 10
    assert BackoffDelays(Backoff(cap=600), lambda: 1.0).stands == 60


def test_attempts_with_an_effect_were_not_in_vain() -> None:
    delays = BackoffDelays(Backoff(attempts=2), lambda: 1.0)
    for _ in range(5):
        delays.next()
        delays.proved()
    assert not delays.exhausted


def test_attempts_may_be_limited() -> None:
    delays = BackoffDelays(Backoff(attempts=2), lambda: 0.5)
    assert not delays.exhausted
    delays.next()
    delays.next()
    assert delays.exhausted
    delays.reset()
    assert not delays.exhausted
    assert not BackoffDelays(Backoff(), lambda: 0.5).exhausted
