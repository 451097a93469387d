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


def test_a_missing_number_is_a_gap_only_after_the_grace() -> None:
    gaps = tracker()
    feed(gaps, [5, 9])
    assert due(gaps, GRACE_US - 1) == []
    assert due(gaps) == [(6, 8, 3, "stream")]
    assert due(gaps) == []


def test_a_gap_across_two_connections_is_the_reconnect_s() -> None:
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


# -- numbers that are not believed


def at(gaps: GapTracker, numbers: list[int], step: int = 1000, repeat: bool = False, start: int = NOW) -> None:
    """Numbers whose records are a millisecond apart."""
    for place, number in enumerate(numbers):
        gaps.see("BTCUSD", number, None, NOW, 1, start + place * step, repeat)


def test_a_number_beyond_64_bits_is_ignored() -> None:
    gaps = tracker()
    feed(gaps, [1000, 2**63, 2**64 - 1, 10**26, -5, 1001, 1004])
    assert gaps.last == {"BTCUSD": 1004}
    assert due(gaps) == [(1002, 1003, 2, "stream")]
    assert [one.number for one in gaps.odd] == [2**63, 2**64 - 1, 10**26, -5]


@given(st.lists(st.integers(-(2**66), 2**66), max_size=30), st.sampled_from(["contiguous", "linked"]))
def test_whatever_numbers_come_every_gap_fits_its_record(numbers: list[int], rule: str) -> None:
    gaps = tracker(rule)
    for number in numbers:
        gaps.see("BTCUSD", number, number - 7, NOW, 1, NOW)
    for gap in gaps.due(NOW + GRACE_US):
        assert all(one is None or 0 <= one < 2**63 for one in (gap.first, gap.last, gap.count, gap.missing))


def test_one_number_far_ahead_that_the_next_ones_contradict_is_dropped() -> None:
    gaps = tracker()
    at(gaps, [1000, 1001, 2**63 - 1, 1002, 5_000_000, 1003, 1004, 1020])
    assert due(gaps) == [(1005, 1019, 15, "stream")]
    assert [one.number for one in gaps.odd] == [2**63 - 1, 5_000_000]


def test_a_long_jump_is_believed_when_the_next_number_is_near_it_or_nothing_contradicts_it() -> None:
    gaps = tracker()
    feed(gaps, [1000, 6000, 6001])
    assert due(gaps) == [(1001, 5999, 4999, "stream")]
    feed(gaps, [20_000])
    assert due(gaps, GRACE_US - 1) == []
    assert due(gaps) == [(6002, 19_999, 13_998, "stream")]
    feed(gaps, [2**62])
    assert due(gaps) == [], "nobody can have missed as many: it waits for another number"


def test_a_jump_so_far_that_nobody_can_have_missed_as_many_is_a_reset() -> None:
    gaps = tracker()
    at(gaps, [1000, 2**62, 2**62 + 1, 2**62 + 4])
    assert due(gaps) == [(None, None, None, "reset"), (2**62 + 2, 2**62 + 3, 2, "stream")]


def test_counting_that_begins_anew_is_a_reset_after_which_holes_are_found_again() -> None:
    gaps = tracker()
    at(gaps, [26_941_143, 26_941_144, 1, 2, 3, 4, 8])
    assert due(gaps) == [(None, None, None, "reset"), (5, 7, 3, "stream")]
    assert gaps.last == {"BTCUSD": 8}
    at(gaps, [11], start=NOW + 10**6)
    at(gaps, [1, 3, 4], start=NOW + 2 * 10**6)
    assert due(gaps) == [(9, 10, 2, "stream"), (None, None, None, "reset"), (2, 2, 1, "stream")]


def test_repeats_late_ones_and_the_past_are_no_reset() -> None:
    gaps = tracker()
    at(gaps, [100, 101, 102, 103])
    at(gaps, [100, 101, 102, 103], start=NOW + 10**6, repeat=True)
    at(gaps, [1, 2, 3, 4, 5], start=NOW - 10**9)  # a snapshot that reaches further back
    at(gaps, [99, 98, 97, 96], start=NOW + 2 * 10**6)  # not in order
    assert due(gaps) == []
    assert gaps.last == {"BTCUSD": 103}


def test_without_times_only_numbers_far_below_are_a_reset() -> None:
    gaps = tracker()
    feed(gaps, [30_000, 29_000, 29_001, 29_002, 29_003])
    assert gaps.last == {"BTCUSD": 30_000}
    feed(gaps, [1, 2, 3])
    assert gaps.last == {"BTCUSD": 3}


def test_a_state_with_absurd_numbers_is_read_without_them() -> None:
    gaps = tracker()
    gaps.resume({"BTCUSD": 2**64, "ETHUSD": 10})
    gaps.reopen("ETHUSD", [[2, 2**63, 0, 0], [3, 4, 0, 0]], NOW)
    assert gaps.last == {"ETHUSD": 10}
    assert due(gaps) == [(3, 4, 2, "restart")]


def test_what_is_odd_is_kept_within_bounds() -> None:
    gaps = tracker()
    feed(gaps, [-1] * 5000)
    assert len(gaps.odd) == 1000
