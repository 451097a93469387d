"""The venue's limit on connection attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.resilience.limit_share import LimitShare
from k2conn.engine.resilience.rate_limiter import RateLimiter
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.plan import Rate
from tests.support.plans import SUBSCRIBE, plan_of


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


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60))
def test_two_limits_on_the_same_attempts_are_both_kept(steps: list[tuple[float, bool]]) -> None:
    strict, lax = Rate(2, 5.0), Rate(4, 20.0)
    first, now, made = RateLimiter(strict), 100.0, list[float]()
    other = first.under(lax)
    for gap, turn in steps:
        now += gap
        moment = now + (first if turn else other).wait(now)
        limit = strict if turn else lax
        assert sum(moment - limit.seconds + 1e-6 < one for one in made) < limit.count
        made.append(moment)


def test_what_a_venue_counts_by_ip_address_is_counted_together() -> None:
    shared = SharedLimits()

    def limiter(name: str, limits: str, url: str = "wss://venue.example/ws") -> RateLimiter | None:
        text = SUBSCRIBE.replace("wss://venue.example/ws", url) + f"  limits: {limits}\n"
        connection = plan_of(text, name=name).connections[0]
        return shared.limiter("one", "connect", connection, connection.limits.connect)

    one, two = limiter("one", "{connect: 2 per 1s, per: ip}"), limiter("two", "{connect: 2 per 1s, per: ip}")
    assert one is not None
    assert two is not None
    assert [one.wait(100.0), two.wait(100.0), two.wait(100.0), one.wait(100.0)] == [0.0, 0.0, 1.0, 1.0]
    elsewhere = limiter("three", "{connect: 2 per 1s, per: ip}", "wss://other.example/ws")
    assert elsewhere is not None
    assert elsewhere.wait(100.0) == 0.0
    assert limiter("four", "{connect: 2 per 1s}") is None
    assert limiter("five", "{connect: 2 per 1s, per: connection}") is None


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5)), max_size=80), st.integers(1, 8), st.integers(1, 6))
def test_members_that_share_a_limit_keep_to_it_together(
    steps: list[tuple[float, int]], count: int, members: int
) -> None:
    limiters, now, made = [], 100.0, []
    for place in range(members):
        share = LimitShare()
        share.place, share.among = place, members
        limiters.append(RateLimiter(Rate(count, 10.0), share=share))
    for gap, member in steps:
        now += gap
        made.append(now + limiters[member % members].wait(now))
    made.sort()
    rounds = -(-members // count)  # in each round the limit allows, every member has at most one attempt
    for first, last in zip(made, made[max(count, members) :], strict=False):
        assert last - first > 10.0 * (1 if count >= members else rounds) - 1e-6


@given(st.integers(1, 8), st.integers(1, 30))
def test_members_that_all_want_to_connect_at_once_keep_to_the_limit_together(count: int, members: int) -> None:
    made = []
    for place in range(members):
        share = LimitShare()
        share.place, share.among = place, members
        limiter = RateLimiter(Rate(count, 10.0), share=share)
        made += [100.0 + limiter.wait(100.0) for _ in range(3)]
    made.sort()
    for first, last in zip(made, made[count:], strict=False):
        assert last - first > 10.0 - 1e-6


def test_a_limit_is_divided_anew_while_it_is_kept() -> None:
    shared = SharedLimits()
    limiter = RateLimiter(Rate(4, 10.0), share=shared.share_of("alpha"))
    assert [limiter.wait(100.0) for _ in range(2)] == [0.0, 0.0]
    shared.divide((0, 2), {"alpha": (0, 2)})
    assert limiter.foreseen(100.0) == 10.0
    shared.divide((0, 9), {"alpha": (0, 8)})  # one in 20 s, for 8 are twice as many as 4
    assert limiter.foreseen(105.0) == 15.0
    shared.divide((0, 1), {"alpha": (0, 1)})
    assert [limiter.wait(105.0) for _ in range(3)] == [0.0, 0.0, 5.0]
