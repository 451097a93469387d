"""Times of the day: which moment they are, by the clocks of a zone, on the nearest day or on one that is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.compiler.converters.times import UNITS
from k2conn.compiler.converters.times_of_day import ZoneDays, clock, nearest, on_day
from k2conn.errors import RecordError
from k2conn.tools.mock.time_formats import layout
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def text_of(said: str) -> str:
    return STREAMS.replace("timestamp: {from: t, unit: ms}", f"timestamp: {said}", 1)


def time_of(said: str, received: str, **item: Any) -> str:
    """The time of a trade as ISO 8601, or why it has none."""
    pipeline = intake_of(plan_of(SUBSCRIBE, text_of(said)))
    (envelope,) = pipeline.receive([trades(trade(1, **item))], 0.0, us(received))[0]
    if envelope.schema is None:
        letter = exactjson.decode(envelope.value)
        return f"{letter['field']} {letter['reason']}: {letter['detail']}"
    record = envelope.schema.decode_plain(envelope.value)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record["timestamp"])
    return moment.isoformat().replace("+00:00", "Z")


TEXT = "{from: t, unit: iso8601, zone: %s, date: nearest}"


@pytest.mark.parametrize(
    ("zone", "shown", "received", "expected"),
    [
        ("UTC", "13:45:01.123", "2026-03-04T13:45:01.200Z", "2026-03-04T13:45:01.123000Z"),
        ("UTC", "13:45:01", "2026-03-04T13:45:00.900Z", "2026-03-04T13:45:01Z"),
        ("UTC", "13:45", "2026-03-04T13:45:00.900Z", "2026-03-04T13:45:00Z"),
        ("UTC", "13:45:01,1234567", "2026-03-04T13:45:02Z", "2026-03-04T13:45:01.123456Z"),
        ("UTC", "23:59:60", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ("UTC", "23:59:59.9", "2026-03-05T00:00:00.1Z", "2026-03-04T23:59:59.900000Z"),
        ("UTC", "00:00:00.1", "2026-03-04T23:59:59.9Z", "2026-03-05T00:00:00.100000Z"),
        ("UTC", "13:00:00", "2026-03-05T00:30:00Z", "2026-03-04T13:00:00Z"),
        ("America/New_York", "09:30:00", "2026-03-04T14:30:00.5Z", "2026-03-04T14:30:00Z"),
        ("America/New_York", "09:30:00", "2026-07-01T13:30:00.5Z", "2026-07-01T13:30:00Z"),
        ("America/New_York", "23:59:59", "2026-07-01T04:00:01Z", "2026-07-01T03:59:59Z"),
        ("Asia/Tokyo", "00:00:01", "2026-03-04T14:59:59Z", "2026-03-04T15:00:01Z"),
        ("Pacific/Kiritimati", "00:30:00", "2026-03-04T23:00:00Z", "2026-03-05T10:30:00Z"),
        ("Asia/Kolkata", "09:15:00.5", "2026-03-04T03:45:01Z", "2026-03-04T03:45:00.500000Z"),
        ("America/New_York", "01:30:00", "2026-11-01T05:31:00Z", "2026-11-01T05:30:00Z"),
        ("America/New_York", "01:30:00", "2026-11-01T06:31:00Z", "2026-11-01T06:30:00Z"),
        ("America/New_York", "02:30:00", "2026-03-08T07:00:00Z", "timestamp bad-time: clocks of the zone did not show"),
        ("America/New_York", "03:30:00", "2026-03-08T07:30:01Z", "2026-03-08T07:30:00Z"),
        ("UTC", "24:00:00", "2026-03-04T13:45:01Z", "timestamp bad-time: 24:00:00 is no time of day"),
        ("UTC", "12:60:00", "2026-03-04T13:45:01Z", "timestamp bad-time: 12:60:00 is no time of day"),
        ("UTC", "12:00:00Z", "2026-03-04T13:45:01Z", "timestamp bad-time: 12:00:00Z is no time of day such as"),
        ("UTC", "2026-03-04T12:00:00", "2026-03-04T13:45:01Z", "timestamp bad-time: 2026-03-04T12:00:00 is no time"),
        ("UTC", 134501, "2026-03-04T13:45:01Z", "timestamp bad-time: 134501 is no time of day such as 13:45:01.123"),
        ("UTC", None, "2026-03-04T13:45:01Z", "timestamp missing-field: the time is missing"),
    ],
)
def test_the_nearest_day(zone: str, shown: Any, received: str, expected: str) -> None:
    found = time_of(TEXT % zone, received, t=shown)
    assert found.startswith(expected) if "bad-time" in expected else found == expected


@pytest.mark.parametrize(
    ("unit", "shown", "expected"),
    [
        ("s", 68515, "19:01:55Z"), ("s", "68515.25", "19:01:55.250000Z"), ("ms", 68515583, "19:01:55.583000Z"),
        ("us", 68515583001, "19:01:55.583001Z"), ("ns", 68515583001999, "19:01:55.583001Z"), ("ms", 0, "00:00:00Z"),
    ],
)
def test_numbers_since_midnight(unit: str, shown: Any, expected: str) -> None:
    said = f"{{from: t, unit: {unit}, zone: UTC, date: {{from: day}}}}"
    assert time_of(said, "2026-03-04T00:00:00Z", t=shown, day="2017-11-29") == f"2017-11-29T{expected}"


@pytest.mark.parametrize("shown", [86_400_000, -1, "x", 10**30, True, [1]])
def test_numbers_that_are_no_time_of_day(shown: Any) -> None:
    found = time_of("{from: t, unit: ms, zone: UTC, date: nearest}", "2026-03-04T00:00:00Z", t=shown)
    assert found.startswith("timestamp bad-time: ")


@pytest.mark.parametrize(
    ("day", "more", "expected"),
    [
        ("2026-03-04", "", "2026-03-04T06:30:00Z"), ("20260304", "", "2026-03-04T06:30:00Z"),
        (20260304, "", "2026-03-04T06:30:00Z"), ("2026-07-01", "", "2026-07-01T05:30:00Z"),
        ("2026-03-08", "", "timestamp bad-time: clocks of the zone did not show this time on that day"),
        ("2026-11-01", "", "timestamp bad-time: clocks of the zone showed this time twice on that day"),
        ("2026-11-01", ", ambiguous: earlier", "2026-11-01T05:30:00Z"),
        ("2026-11-01", ", ambiguous: later", "2026-11-01T06:30:00Z"),
        ("2026-02-30", "", "timestamp bad-time: day is out of range for month"),
        ("04.03.2026", "", "timestamp bad-time: 04.03.2026 is no date such as 2026-01-02"),
        ("2026-0304", "", "timestamp bad-time: 2026-0304 is no date"),
        ("1969-12-30", "", "timestamp bad-time: 1969-12-30 is out of range"),
        (None, "", "timestamp bad-time: the date of the time is missing"),
    ],
)
def test_the_day_that_the_item_says(day: Any, more: str, expected: str) -> None:
    said = f"{{from: t, unit: iso8601, zone: America/New_York, date: {{from: day}}{more}}}"
    shown = "02:30" if day == "2026-03-08" else "01:30"
    found = time_of(said, "2026-03-04T00:00:00Z", t=shown, day=day)
    assert found.startswith(expected)


def test_a_missing_time_may_be_that_of_the_receipt() -> None:
    said = "{from: t, unit: iso8601, zone: UTC, date: nearest, absent: $received_at}"
    assert time_of(said, "2026-03-04T10:00:00Z", t=None) == "2026-03-04T10:00:00Z"
    assert time_of(said, "2026-03-04T10:00:00Z", t="09:00:00") == "2026-03-04T09:00:00Z"


ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Apia"]
MOMENTS = st.integers(us("2000-01-03T00:00:00Z"), us("2037-01-01T00:00:00Z"))


@given(MOMENTS, st.integers(-11 * 3600, 11 * 3600), st.sampled_from(ZONES))
def test_what_a_clock_shows_is_found_again(moment: int, late_s: int, zone: str) -> None:
    """Whenever it was, and up to eleven hours late or early; where clocks were set back there are two."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(ZoneInfo(zone))
    shown = clock("iso8601")(f"{local:%H:%M:%S.%f}")
    found = nearest(ZoneDays(ZoneInfo(zone), None), shown, moment + late_s * 1_000_000)
    assert abs(found - moment) in (0, 1_800_000_000, 3_600_000_000)
    again = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found)).astimezone(ZoneInfo(zone))
    assert f"{again:%H:%M:%S.%f}" == f"{local:%H:%M:%S.%f}"


@given(MOMENTS)
def test_days_without_changes_are_as_those_with(moment: int) -> None:
    days = ZoneDays(ZoneInfo("America/New_York"), None)
    shown = moment % 86_400_000_000
    try:
        found = nearest(days, shown, moment)
    except RecordError:
        return
    assert found in [one for day in range(-2, 3) for one in days.moments(moment // 86_400_000_000 + day, shown)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{from: t, unit: ms, date: nearest}", "a time of day says whose clocks show it"),
        ("{from: t, unit: ms, zone: UTC, date: nearest, absent: 0}", "is $received_at, or nothing"),
        ("{from: t, unit: ms, zone: Mars, date: nearest}", "'Mars' is no IANA time zone"),
        ("{from: t, unit: ms, zone: UTC, date: today}", "today"),
        ("{from: t, unit: ms, zone: UTC, date: {from: 'a ='}}", "cannot be read"),
        ("{from: t, unit: ms, zone: UTC}", "a zone is for iso8601 text"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: str, told: str) -> None:
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text_of(said), ROOT)
    assert any(told in str(problem) for problem in problems), problems


def test_rows_of_the_past_say_their_day() -> None:
    text = text_of("{from: t, unit: ms, zone: UTC, date: nearest}").replace("    each: data\n", """    each: data
    backfill: {http: GET https://venue.example/trades, FIELDS}
""", 1)
    for fields, expected in (("within: 5s", 1), ("fields: {timestamp: {from: T, unit: ms}}", 0)):
        _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text.replace("FIELDS", fields), ROOT)
        assert len(problems) == expected
        assert all("a row is of the past" in problem.text for problem in problems)


@pytest.mark.parametrize("shown", ["13:45:01.123", "23:59:59", 68515583, "68515583001"])
def test_the_mock_writes_times_of_day(shown: Any) -> None:
    written = clock("iso8601" if ":" in str(shown) else "ms" if type(shown) is int else "us")(shown)
    offset = us("2026-07-01T04:00:00Z")  # midnight in New York
    write = layout(shown, offset + written)
    assert write is not None
    assert write(offset + written) == shown
    later = write(offset + written + 20 * 3_600_000_000 + 1_000_000)
    assert type(later) is type(shown)
    assert clock("iso8601" if ":" in str(shown) else "ms" if type(shown) is int else "us")(later) == (
        (written + 20 * 3_600_000_000 + 1_000_000) % 86_400_000_000
    )


CLOCKS = st.from_regex(r"\d\d:\d\d(:\d\d([.,]\d*)?)?")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text() | CLOCKS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3,
)


def outcome(read: Callable[[], int]) -> int | str:
    """The moment, or why there is none."""
    try:
        return read()
    except RecordError as error:
        return error.reason


@given(ANYTHING, ANYTHING, st.sampled_from(UNITS), st.sampled_from(ZONES))
def test_whatever_is_sent_is_a_moment_or_an_error_with_its_reason(value: Any, day: Any, unit: str, zone: str) -> None:
    days, received = ZoneDays(ZoneInfo(zone), None), us("2026-03-08T07:30:00Z")
    for found in (outcome(lambda: nearest(days, clock(unit)(value), received)),
                  outcome(lambda: on_day(days, clock(unit)(value), day))):
        assert found in ("bad-time", "missing-field") or (type(found) is int and found >= 0)
