"""Holes in a venue's numbers become gaps after a grace, and late records close them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.gaps.gap_tracker import GRACE_US, GapTracker
from k2conn.plan import Sequence

NOW = 1_000_000_000


def tracker(rule: str = "contiguous", per: str = "symbol") -> GapTracker:
    return GapTracker("trade", Sequence(lambda item, scope: item, "id", rule, per))


def feed(gaps: GapTracker, numbers: list[int], epoch: int = 1) -> None:
    for number in numbers:
        gaps.see("BTCUSD", number, None, NOW, epoch)


def due(gaps: GapTracker, after: int = GRACE_US) -> list[tuple[int, int, int | None, str]]:
    return [(gap.first, gap.last, gap.missing, gap.cause) for gap in gaps.due(NOW + after)]


def test_what_follows_one_by_one_has_no_gap() -> None:
    gaps = tracker()
    feed(gaps, [5, 6, 7, 8])
    assert due(gaps) == []


def test_a_hole_is_a_gap_only_after_the_grace() -> None:
    gaps = tracker()
    feed(gaps, [5, 9])
    assert due(gaps, GRACE_US - 1) == []
    assert due(gaps) == [(6, 8, 3, "stream")]
    assert due(gaps) == []


def test_a_hole_across_two_connections_is_the_reconnect_s() -> None:
    gaps = tracker()
    feed(gaps, [5], epoch=1)
    feed(gaps, [9], epoch=2)
    assert due(gaps) == [(6, 8, 3, "reconnect")]


def test_a_snapshot_newest_first_leaves_only_what_it_does_not_hold() -> None:
    gaps = tracker()
    feed(gaps, [100, 200, 199, 198, 150])
    assert due(gaps) == [(101, 199, 96, "stream")]


def test_late_numbers_close_a_reported_gap() -> None:
    gaps = tracker()
    feed(gaps, [1, 4])
    assert due(gaps) == [(2, 3, 2, "stream")]
    assert gaps.see("BTCUSD", 3, None, NOW, 1) is None
    closed = gaps.see("BTCUSD", 2, None, NOW, 1)
    assert closed is not None
    assert closed.reported == 2
    assert not closed.open


def test_numbers_that_only_grow_say_nothing_of_gaps() -> None:
    gaps = tracker("monotonic")
    feed(gaps, [1, 10, 100])
    assert due(gaps) == []


def test_a_linked_record_that_names_another_before_it_is_a_gap_of_unknown_size() -> None:
    gaps = tracker("linked")
    gaps.see("BTCUSD", 5, None, NOW, 1)
    gaps.see("BTCUSD", 9, 5, NOW, 1)
    gaps.see("BTCUSD", 20, 15, NOW, 1)
    assert due(gaps) == [(9, 15, None, "stream")]


def test_a_restart_knows_what_came_before_it() -> None:
    gaps = tracker()
    gaps.resume({"BTCUSD": 10})
    feed(gaps, [13], epoch=1)
    assert due(gaps) == [(11, 12, 2, "restart")]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_what_is_missing_is_what_was_not_seen(numbers: list[int]) -> None:
    gaps = tracker()
    feed(gaps, numbers)
    missing = sum(gap.missing or 0 for gap in gaps.due(NOW + GRACE_US))
    expected = set(range(numbers[0], max(numbers) + 1)) - set(numbers)
    assert missing == len(expected)
