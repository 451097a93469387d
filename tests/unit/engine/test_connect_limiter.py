"""The venue's limit on connection attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.resilience.rate_limiter import RateLimiter
from k2conn.plan import Rate


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 5))
def test_never_more_than_the_rate_in_any_span(gaps: list[float], count: int) -> None:
    connect_limiter, now, made = RateLimiter(Rate(count, 10.0)), 100.0, []
    for gap in gaps:
        now += gap
        made.append(now + connect_limiter.wait(now))
    assert made == sorted(made)
    for first, last in zip(made, made[count:], strict=False):
        assert last - first > 10.0 - 1e-6


def test_without_a_limit_nobody_waits() -> None:
    assert [RateLimiter(None).wait(1.0) for _ in range(5)] == [0.0] * 5


@given(st.lists(st.floats(0, 3), max_size=40), st.integers(1, 5))
def test_what_is_foreseen_is_what_is_waited_and_books_nothing(gaps: list[float], count: int) -> None:
    limiter, now = RateLimiter(Rate(count, 10.0)), 100.0
    for gap in gaps:
        now += gap
        foreseen = [limiter.foreseen(now) for _ in range(3)]
        assert abs(limiter.wait(now) - foreseen[0]) < 1e-6
        assert foreseen == [foreseen[0]] * 3
