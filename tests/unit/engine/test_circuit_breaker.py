"""A breaker really opens; half open it lets one through at a time; the first address that may be used is used."""

from __future__ import annotations

from k2conn.engine.resilience.circuit_breaker import BreakerSettings, CircuitBreaker, Endpoints

FUSE = BreakerSettings(failures=3, seconds=30, successes=2)


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(FUSE)
    for _ in range(3):
        breaker.fail(at)
    return breaker


def test_it_opens_after_failures_in_a_row_and_only_then() -> None:
    breaker = CircuitBreaker(FUSE)
    for _ in range(5):
        breaker.fail(0)
        breaker.fail(0)
        breaker.succeed(0)
        breaker.proved()
    assert (breaker.state(0), breaker.wait(0)) == ("closed", 0)
    for _ in range(3):
        breaker.fail(0)
    assert (breaker.state(0), breaker.wait(0), breaker.opened) == ("open", 30, 1)
    assert (breaker.state(30), breaker.wait(30)) == ("half-open", 0)


def test_subscribing_without_data_does_not_forgive_failures() -> None:
    breaker = CircuitBreaker(FUSE)
    for _ in range(3):
        breaker.succeed(0)
        breaker.fail(0)
    assert breaker.state(0) == "open"


def test_half_open_one_attempt_decides() -> None:
    breaker = opened()
    breaker.attempt(31)
    assert breaker.wait(32) > 0
    breaker.fail(33)
    assert (breaker.state(33), breaker.wait(33), breaker.opened) == ("open", 30, 2)
    breaker.attempt(64)
    breaker.succeed(65)
    assert (breaker.state(65), breaker.wait(65)) == ("half-open", 0)
    breaker.succeed(66)
    assert breaker.state(66) == "closed"
    breaker.fail(67)
    assert breaker.state(67) == "closed"


def test_an_attempt_that_was_given_up_blocks_nobody() -> None:
    breaker = opened()
    breaker.attempt(31)
    breaker.ignore()
    assert breaker.wait(31) == 0


def test_an_attempt_whose_end_nobody_says_blocks_for_a_while_only() -> None:
    breaker = opened()
    breaker.attempt(31)
    assert breaker.wait(61) == 0


def test_the_first_address_in_order_that_may_be_used() -> None:
    ends = Endpoints(3, FUSE)
    assert ends.choose(0) == (0, 0)
    assert ends.choose(0, first=2) == (2, 0)
    for _ in range(3):
        ends.breakers[0].fail(0)
    assert ends.choose(1) == (1, 0)
    assert ends.better(1, 1) is None
    assert ends.better(1, 31) == 0
    assert ends.better(0, 31) is None
    for one in ends.breakers[1:]:
        for _ in range(3):
            one.fail(5)
    assert ends.choose(10) == (0, 20)
    assert ends.choose(31) == (0, 0)
