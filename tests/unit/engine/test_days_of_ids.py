"""The day that an id is unique within is that of its zone, also where one moment's day is remembered for the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.identity.id_scope import _Days

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Africa/Monrovia", "Pacific/Kiritimati"]


@pytest.mark.parametrize("zone", ZONES)
@given(moments=st.lists(st.integers(0, 2_000_000_000_000_000), min_size=1, max_size=8), step=st.integers(0, 20_000_000))
def test_any_moments(zone: str, moments: list[int], step: int) -> None:
    check(zone, [one for first in moments for one in (first, first + step)])


@pytest.mark.parametrize("zone", ZONES)
def test_about_each_midnight_of_a_year(zone: str) -> None:
    for year in (1970, 1971, 2026):
        for day in range(366):
            local = datetime(year, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
            midnight = int(local.astimezone(UTC).timestamp()) * 1_000_000
            check(zone, [midnight - 1, midnight, midnight + 1])


def check(zone: str, moments: list[int]) -> None:
    days = _Days(ZoneInfo(zone))
    for moment in moments:
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
        assert days.day(moment) == there.astimezone(ZoneInfo(zone)).date().isoformat(), moment
