"""Times, durations, sizes and rates in text: an exact value, or the error that is promised; and no value depends on
what was read before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from k2conn.compiler.converters.times import UNITS, times, times_in
from k2conn.compiler.language.durations import duration, rate, size
from k2conn.errors import RecordError
from k2conn.net.http import stay_away
from k2conn.records import TIMES
from tests.fuzz.draws import NUMBERS, TEXTS, Draws

ZONES = (None, "UTC", "Asia/Tokyo", "America/New_York")
LATEST = 253_402_300_800 * 1_000_000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,15})?\Z", re.ASCII)
ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRACED = ("k2conn.compiler.converters", "k2conn.compiler.language.durations", "k2conn.net.http")
WORDS = (
    b"2026-01-02T03:04:05",
    b".678901",
    b"Z",
    b"+09:00",
    b"-0530",
    b"1767323045678",
    b"1e3",
    b" per ",
    b"1s",
    b"500ms",
    b"KiB",
    b"0.5",
    b"5 per 1s",
    b"300 per 5m",
    b"24:00:00",
    b":60",
)
CONVERTERS = [(unit, zone, times(unit, zone)) for unit in UNITS for zone in (ZONES if unit == "iso8601" else (None,))]
"""Kept for all inputs, as a connector keeps them: what they remember must not show."""
KINDS = [times_in(kind, unit) for kind in TIMES for unit in UNITS]


def seeds() -> Iterator[bytes]:
    """Converter, how the value is made, value."""
    for number in range(len(CONVERTERS)):
        for at, _ in enumerate(NUMBERS):
            yield bytes((number, 2, at))
        for text in (*TEXTS, "2026-01-02 03:04:05,5+09:00", "1767323045.678", "2026-07-02T00:00:00"):
            yield bytes((number, 0)) + text.encode("utf-8", "surrogatepass")
    for text in ("30s", "500ms", "0", "16 KiB", "5 per 1s", "300 per 5m", "10 per s", "1.5h", "99999999"):
        yield b"\x00\x00" + text.encode()


def result(convert: Callable[[Any], int], value: Any) -> int | str:
    """The time, or the reason why there is none."""
    try:
        return convert(value)
    except RecordError as error:
        assert error.reason in ("bad-time", "missing-field")
        return error.reason


def target(data: bytes) -> None:
    """One value through one converter and, where it is text, through the readers of connector files."""
    draws = Draws(data)
    unit, zone, convert = draws.of(CONVERTERS)
    kind = draws.below(4)
    value: Any = (
        draws.of(NUMBERS) if kind == 2 else draws.value() if kind == 3 else draws.rest().decode("utf-8", "replace")
    )
    found = result(convert, value)
    assert found == result(times(unit, zone), value), "what was read before shows"
    if isinstance(value, str) and unit == "iso8601":
        following = f"{value[:19]}.000001Z"
        assert result(convert, following) == result(times(unit, zone), following), "what was read before shows"
    if isinstance(found, int):
        assert type(found) is int
        assert 0 <= found < LATEST
        if isinstance(value, str):
            check_text(unit, value, found)
    for other in KINDS:
        result(other, value)
    if isinstance(value, str):
        check_words(value)


def check_text(unit: str, text: str, found: int) -> None:
    """Against fractions, and against the standard library's calendar."""
    if unit != "iso8601":
        if PLAIN.match(text):
            assert found == Fraction(text) * 10**6 // PER_SECOND[unit]
        return
    parts = ISO.match(text)
    if parts and not parts[2].endswith(":60"):
        moment = datetime.fromisoformat(f"{parts[1]}T{parts[2]}{parts[4].replace('Z', '+00:00')}")
        micros = int((parts[3] or "0")[:6].ljust(6, "0"))
        assert found == (moment - EPOCH) // timedelta(microseconds=1) + micros


def check_words(text: str) -> None:
    """What a connector file, or an HTTP header, says of time."""
    with suppress(ValueError):
        assert duration(text) >= 0
    with suppress(ValueError):
        assert size(text) >= 0
    with suppress(ValueError):
        said = rate(text)
        assert said.count > 0
    for status in (200, 429, 503):
        assert 0 <= stay_away(status, text) < 10**7
