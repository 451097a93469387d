"""Exchange times to microseconds: the unit is said, and what is not a time of that unit is refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.converters.times import times
from k2conn.errors import RecordError

T = 1_767_323_045_678_901
"""2026-01-02T03:04:05.678901Z."""
MS = T // 1000 * 1000
S = T // 1_000_000 * 1_000_000
D = Decimal
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

READ = [
    ("s", 1767323045, S),
    ("s", "1767323045", S),
    ("s", "1767323045.678901", T),
    ("s", D("1767323045.678901"), T),
    ("s", D("1767323045.6789019"), T),
    ("s", "1767323045.6789019999999", T),
    ("s", D("1.767323045678901E+9"), T),
    ("s", 0, 0),
    ("ms", 1767323045678, MS),
    ("ms", "1767323045678", MS),
    ("ms", D("1767323045678.901"), T),
    ("ms", "1767323045678.9019", T),
    ("us", T, T),
    ("us", str(T), T),
    ("us", D("1767323045678901.9"), T),
    ("ns", T * 1000 + 999, T),
    ("ns", str(T * 1000 + 999), T),
    ("ns", D(T * 1000) + D("0.5"), T),
    ("iso8601", "2026-01-02T03:04:05Z", S),
    ("iso8601", "2026-01-02T03:04:05.6Z", S + 600_000),
    ("iso8601", "2026-01-02T03:04:05.67Z", S + 670_000),
    ("iso8601", "2026-01-02T03:04:05.678Z", MS),
    ("iso8601", "2026-01-02T03:04:05.6789Z", S + 678_900),
    ("iso8601", "2026-01-02T03:04:05.67890Z", S + 678_900),
    ("iso8601", "2026-01-02T03:04:05.678901Z", T),
    ("iso8601", "2026-01-02T03:04:05.6789019Z", T),
    ("iso8601", "2026-01-02T03:04:05.67890199Z", T),
    ("iso8601", "2026-01-02T03:04:05.678901999Z", T),
    ("iso8601", "2026-01-02 03:04:05.678901Z", T),
    ("iso8601", "2026-01-02T03:04:05,678901z", T),
    ("iso8601", "2026-01-02T03:04:05.678901+00:00", T),
    ("iso8601", "2026-01-02T08:34:05.678901+0530", T),
    ("iso8601", "2026-01-02T08:34:05.678901+05:30", T),
    ("iso8601", "2026-01-01T22:04:05.678901-05", T),
    ("iso8601", "2016-12-31T23:59:60Z", 1_483_228_800_000_000),
    ("iso8601", "2016-12-31T23:59:60.5Z", 1_483_228_800_500_000),
    ("iso8601", "2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ("iso8601", "1970-01-01T00:00:00Z", 0),
    ("iso8601", "9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
]

REFUSED = [
    ("s", 1767323045678, "bad-time"),
    ("s", -1, "bad-time"),
    ("s", "-0.5", "bad-time"),
    ("s", D("1e150"), "bad-time"),
    ("s", "1e9999", "bad-time"),
    ("s", "NaN", "bad-time"),
    ("s", True, "bad-time"),
    ("s", [], "bad-time"),
    ("s", "\u0661\u0667", "bad-time"),
    ("s", "2026-01-02T03:04:05Z", "bad-time"),
    ("s", None, "missing-field"),
    ("s", "", "missing-field"),
    ("ms", T, "bad-time"),
    ("ms", -1, "bad-time"),
    ("ms", D("-0.0001"), "bad-time"),
    ("ms", "0" * 5000 + "1", "bad-time"),
    ("ms", "9" * 5000, "bad-time"),
    ("ms", 10**5000, "bad-time"),
    ("ms", "\u0661\u0667", "bad-time"),
    ("ms", None, "missing-field"),
    ("ms", "", "missing-field"),
    ("us", T * 1000, "bad-time"),
    ("ns", T * 10**6, "bad-time"),
    ("ns", None, "missing-field"),
    ("iso8601", "0001-01-01T00:00:00Z", "bad-time"),
    ("iso8601", "1969-12-31T23:59:59.999999Z", "bad-time"),
    ("iso8601", "9999-12-31T23:59:60Z", "bad-time"),
    ("iso8601", "2026-01-02T03:04:05", "bad-time"),
    ("iso8601", "2026-01-02", "bad-time"),
    ("iso8601", "2026-13-02T03:04:05Z", "bad-time"),
    ("iso8601", "2026-02-30T03:04:05Z", "bad-time"),
    ("iso8601", "2026-01-02T24:00:00Z", "bad-time"),
    ("iso8601", "2026-01-02T03:04:61Z", "bad-time"),
    ("iso8601", "2026-01-02T03:04:05+99:00", "bad-time"),
    ("iso8601", "2026-01-02T03:04:05+05:99", "bad-time"),
    ("iso8601", "2026-01-02T03:04:05.Z", "bad-time"),
    ("iso8601", "2026-1-2T3:4:5Z", "bad-time"),
    ("iso8601", "\u0662026-01-02T03:04:05Z", "bad-time"),
    ("iso8601", "2026-01-02T03:04:05Z" + " " * 50, "bad-time"),
    ("iso8601", T, "bad-time"),
    ("iso8601", True, "bad-time"),
    ("iso8601", None, "missing-field"),
    ("iso8601", "", "missing-field"),
]


@pytest.mark.parametrize(("unit", "value", "wanted"), READ, ids=[f"{unit}-{value}" for unit, value, _ in READ])
def test_a_time_of_its_unit_is_exact(unit: str, value: Any, wanted: int) -> None:
    found = times(unit)(value)
    assert type(found) is int
    assert found == wanted


@pytest.mark.parametrize(
    ("unit", "value", "reason"),
    REFUSED,
    ids=[
        f"{unit}-{str(value)[:30]!r}" if type(value) is not int or value < 10**40 else f"{unit}-huge"
        for unit, value, _ in REFUSED
    ],
)
def test_anything_else_is_refused(unit: str, value: Any, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        times(unit)(value)
    assert caught.value.reason == reason


def test_a_zone_reads_times_without_an_offset() -> None:
    assert times("iso8601", "UTC")("2026-01-02T03:04:05.678901") == T
    assert times("iso8601", "Asia/Tokyo")("2026-01-02T12:04:05.678901") == T
    assert times("iso8601", "America/New_York")("2026-07-02T00:00:00") == 1_782_964_800_000_000
    assert times("iso8601", "Asia/Tokyo")("2026-01-02T03:04:05.678901Z") == T


def test_the_remembered_minute_reads_like_the_first() -> None:
    read = times("iso8601")
    assert read("2026-01-02T03:04:05.678901Z") == T
    assert read("2026-01-02T03:04:05.678901Z") == T
    assert read("2026-01-02T03:04:59.999999Z") == S + 54_999_999
    for wrong in (
        "2026-01-02T03:04:60.000001Z",
        "2026-01-02T03:04:1\u0665.000000Z",
        "2026-01-02T03:04:05.67\u06608901Z",
    ):
        if "60" in wrong[17:19]:
            assert read(wrong) == S + 55_000_001
        else:
            with pytest.raises(RecordError):
                read(wrong)


ODD = [
    "2026-01-02T03:04:05.12345 Z",
    "2026-01-02T03:04:05.9     Z",
    "2026-01-02T03:04:05       Z",
    " 2026-01-02T03:04:05.67890Z",
    "2026-01-02T03:04:05.678901 ",
    "2026-01-02T03:04:05.678901\n",
    "2026-01-02T03:04:05.1+00:00",
    "2026-01-02T03:04:05.12345z",
    "2026-01-02T03:04:05,678901Z",
    "2026-01-02T03:04:05.1234567Z",
    "2026-01-02T03:04:05.-1+01Z",
    "2026-01-02T03:04:05.1_2345Z",
    "2026-01-02T03:04:5.1234567Z",
    "2026-01-02T03:04:05.\u0661\u0662\u0663\u0664\u0665\u0666Z",
    "2026-01-02T03:04:60.000000Z",
    "2026-01-02T03:04:05.+12345Z",
    "2026-01-02T03:04:05.123456+",
    "2026-01-02T03:04:05.999999-01:00",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_no_record_depends_on_the_time_of_the_one_before(odd: str, zone: str | None) -> None:
    fresh, used = times("iso8601", zone), times("iso8601", zone)

    def read(convert: Any, text: str) -> int | str:
        try:
            return convert(text)  # type: ignore[no-any-return]  # of Any
        except RecordError as error:
            return error.reason

    for text in (odd, "2026-01-02T03:04:05.678901Z", odd, "2026-01-02T03:04:05.000000Z", odd):
        assert read(used, text) == read(times("iso8601", zone), text)
    assert read(fresh, "2026-01-02T03:04:05.678901Z") == T
    if " " in odd.replace("T", "", 1) or odd.endswith("\n"):
        assert read(fresh, odd) == "bad-time"


@given(st.lists(st.text("0123456789:.,-+TZz ", min_size=20, max_size=30) | st.sampled_from(ODD), max_size=5))
def test_no_text_changes_what_others_are(before: list[str]) -> None:
    read = times("iso8601", "UTC")
    for odd in before:
        with suppress(RecordError):
            read(odd)
    assert read("2026-01-02T03:04:05.678901Z") == T


moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30))


@given(moments, st.sampled_from(["", "Z", "+00:00", "+05:30", "-11:00"]))
def test_iso_times_agree_with_datetime(moment: datetime, offset: str) -> None:
    hours, minutes = {"+05:30": (5, 30), "-11:00": (-11, 0)}.get(offset, (0, 0))
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours, minutes=minutes)))
    wanted = (aware - EPOCH) // timedelta(microseconds=1)
    assert times("iso8601", "UTC")(moment.isoformat(timespec="microseconds") + offset) == wanted


@given(st.integers(min_value=0, max_value=253_402_300_799_999_999))
def test_units_agree(micros: int) -> None:
    seconds = f"{micros // 10**6}.{micros % 10**6:06}"
    assert times("us")(micros) == times("s")(seconds) == times("s")(D(seconds)) == times("ns")(micros * 1000) == micros
    assert times("ms")(D(micros).scaleb(-3)) == micros


@given(
    st.sampled_from(["s", "ms", "us", "ns", "iso8601"]),
    st.one_of(st.text(max_size=30), st.integers(), st.decimals(), st.booleans(), st.none(), st.floats()),
)
def test_any_value_is_a_time_or_a_record_error(unit: str, value: Any) -> None:
    reason = None
    try:
        assert type(times(unit, "UTC" if unit == "iso8601" else None)(value)) is int
    except RecordError as error:
        reason = error.reason
    assert reason in (None, "bad-time", "missing-field")
