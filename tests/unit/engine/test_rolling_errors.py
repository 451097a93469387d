"""Errors of the last 24 hours, by a clock that the test moves."""

from __future__ import annotations

from k2conn.engine.accounting.rolling_errors import SPAN, STEP, ErrorKind, RollingErrors

HTTP, DATA = ErrorKind.HTTP, ErrorKind.DATA
HOUR = 3600.0


def test_they_are_forgotten_after_a_day_and_the_totals_are_not() -> None:
    errors = RollingErrors()
    errors.look(1000.0, {("a", DATA): 3})
    errors.look(1000.0 + 12 * HOUR, {("a", DATA): 5, ("b", HTTP): 1})
    assert errors.recent(1000.0 + 23.9 * HOUR) == {DATA: 5, HTTP: 1}
    assert errors.recent(1000.0 + SPAN + STEP) == {DATA: 2, HTTP: 1}
    assert errors.recent(1000.0 + 12 * HOUR + SPAN + STEP) == {}
    assert errors.totals == {DATA: 5, HTTP: 1}


def test_none_is_forgotten_early_whatever_the_moment() -> None:
    for second in range(0, 1000, 37):
        errors = RollingErrors()
        errors.look(second, {("a", DATA): 1})
        assert errors.recent(second + SPAN) == {DATA: 1}
        assert errors.recent(second + SPAN + STEP) == {}


def test_a_count_that_begins_anew_is_counted_from_there() -> None:
    errors = RollingErrors()
    for count in (7, 7, 2, 3):  # a connector that was taken out, and comes back
        errors.look(0.0, {("a", DATA): count})
    assert errors.recent(1.0) == {DATA: 10}


def test_sources_are_told_apart_and_memory_is_bounded() -> None:
    errors = RollingErrors()
    for minute in range(3 * 24 * 60):
        errors.look(minute * 60.0, {("a", DATA): minute, ("b", DATA): minute})
    assert len(errors._steps) <= SPAN / STEP + 2
    assert 2 * 24 * 60 <= errors.recent(minute * 60.0)[DATA] <= 2 * (24 * 60 + STEP / 60)
