"""The duplicate window: remembers the latest ids, and never more than twice its size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.identity.dedup_window import DedupWindow


@given(st.lists(st.integers(0, 60).map(str), max_size=300), st.integers(1, 30))
def test_bounded_and_right_about_the_latest(ids: list[str], size: int) -> None:
    window = DedupWindow(size)
    fresh: list[str] = []
    for one in ids:
        if window.seen(one):
            assert one in fresh
        else:
            assert one not in fresh[-size:]
            fresh.append(one)
        assert len(window) <= 2 * size


def test_a_window_of_nothing_remembers_nothing() -> None:
    window = DedupWindow(0)
    assert not window.seen("a")
    assert not window.seen("a")
    assert len(window) == 0
