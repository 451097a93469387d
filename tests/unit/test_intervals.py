"""Intervals: how long they are, and which span of time a moment is in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.intervals import Interval

NAMES = ["1s", "10s", "1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "3d", "1w", "9999m"]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("name", "moment", "begin", "end"),
    [
        ("1m", "2026-01-02T03:04:05", "2026-01-02T03:04:00", "2026-01-02T03:05:00"),
        ("15m", "2026-01-02T03:15:00", "2026-01-02T03:15:00", "2026-01-02T03:30:00"),
        ("4h", "2026-01-02T03:59:59", "2026-01-02T00:00:00", "2026-01-02T04:00:00"),
        ("1d", "2024-02-29T23:59:59", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
        ("1w", "2026-01-04T23:59:59", "2025-12-29T00:00:00", "2026-01-05T00:00:00"),  # a Sunday: weeks begin on Mondays
    ],
)
def test_the_span_of_a_moment(name: str, moment: str, begin: str, end: str) -> None:
    interval = Interval(name)
    number = interval.number(micros(moment))
    assert (interval.begin_us(number), interval.end_us(number)) == (micros(begin), micros(end))
    assert interval.begins(micros(begin))
    assert interval.begins(micros(moment)) == (moment == begin)


@given(st.sampled_from(NAMES), st.integers(0, 2**53))
def test_spans_follow_each_other_without_a_break(name: str, moment: int) -> None:
    interval = Interval(name)
    number = interval.number(moment)
    assert interval.begin_us(number) <= moment < interval.end_us(number)
    assert interval.end_us(number) == interval.begin_us(number + 1)
    assert interval.number(interval.begin_us(number)) == number
    assert interval.end_us(number) - interval.begin_us(number) == interval.length_us


@pytest.mark.parametrize("name", ["", "m", "0m", "01m", "1M", "1 m", "1y", "10000m", "1.5h", "-1m", "1m ", "\uff11m"])
def test_what_is_no_interval(name: str) -> None:
    with pytest.raises(ValueError, match="is no interval"):
        Interval(name)
