"""Durations, sizes and rates as people write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.compiler.language.durations import duration, rate, size
from k2conn.plan import Rate

READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (duration, "0", 0.0),
    (duration, "30s", 30.0),
    (duration, "30 s", 30.0),
    (duration, " 500ms ", 0.5),
    (duration, "1.5m", 90.0),
    (duration, "24h", 86400.0),
    (duration, "1d", 86400.0),
    (duration, "250us", 0.00025),
    (duration, "0.1s", 0.1),
    (size, "4096 B", 4096),
    (size, "16KiB", 16384),
    (size, "8 MiB", 8 * 1024**2),
    (size, "1 GiB", 1024**3),
    (rate, "5 per 1s", Rate(5, 1.0)),
    (rate, "300 per 5m", Rate(300, 300.0)),
    (rate, "10 per s", Rate(10, 1.0)),
    (rate, "1 per 100ms", Rate(1, 0.1)),
    (rate, "240 per h", Rate(240, 3600.0)),
]

REFUSED: list[tuple[Callable[[str], Any], str]] = [
    *[
        (duration, text)
        for text in ("", "30", "s", "30 sec", "-1s", "1e3s", "1,5s", "30s 5ms", "\u0663s", "9" * 5000 + "s")
    ],
    *[(size, text) for text in ("", "16", "16 KB", "16 kib", "1.5 MiB", "-1 B", "9" * 5000 + "B")],
    *[
        (rate, text)
        for text in ("", "5", "5 per", "5/s", "per 1s", "0 per 1s", "5 per 0s", "1.5 per s", "9" * 5000 + " per s")
    ],
]


@pytest.mark.parametrize(("read", "text", "wanted"), READ, ids=[text for _, text, _ in READ])
def test_what_has_a_unit_is_read(read: Callable[[str], Any], text: str, wanted: Any) -> None:
    assert read(text) == wanted


@pytest.mark.parametrize(("read", "text"), REFUSED, ids=[f"{read.__name__}-{text[:12]}" for read, text in REFUSED])
def test_anything_else_is_a_value_error_with_an_example(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"30s|16 KiB|5 per 1s|above 0"):
        read(text)


@given(st.integers(min_value=0, max_value=10**12 - 1), st.sampled_from(["us", "ms", "s", "m", "h", "d"]))
def test_durations_are_the_nearest_float_of_the_exact_value(count: int, unit: str) -> None:
    per = {"us": (1, 10**6), "ms": (1, 1000), "s": (1, 1), "m": (60, 1), "h": (3600, 1), "d": (86400, 1)}[unit]
    assert duration(f"{count}{unit}") == count * per[0] / per[1]
