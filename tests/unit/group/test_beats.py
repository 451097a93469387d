"""Who is alive, whose name is taken, and what a member runs while slots move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.group.beats import AT_WORK, KNOCKING, LEFT, MOST_MEMBERS, SILENT, Beat, InstanceName, RollCall, decoded_beat
from k2conn.group.holding import SlotHolding

BEAT = Beat(
    "g", "a", "1", AT_WORK, 4, frozenset({1, 2}), frozenset({2}), "d", 64, ("alpha",), "s", 31, 7, "host", 12, "1.0"
)


def test_what_a_member_says_is_read_back() -> None:
    assert decoded_beat(BEAT.encoded()) == BEAT


@pytest.mark.parametrize("odd", [b"", None, b"x", b"[]", b"{}", BEAT.encoded().replace(b'"v":1', b'"v":0'),
                                 BEAT.encoded().replace(b"[1,2]", b'["1"]'), BEAT.encoded().replace(b'"a"', b"5"),
                                 BEAT.encoded().replace(b"[1,2]", b"[-900]"),
                                 BEAT.encoded().replace(b"[1,2]", b"[4096]"),
                                 BEAT.encoded().replace(b":64,", b":1000000000000,"),
                                 BEAT.encoded().replace(b'"generation":4', b'"generation":1e999999999'),
                                 BEAT.encoded().replace(b'"generation":4', b'"generation":9223372036854775807'),
                                 BEAT.encoded().replace(b'"pid":12', b'"pid":-1'),
                                 BEAT.encoded().replace(b'"host"', b'"' + b"h" * 300 + b'"', 1),
                                 BEAT.encoded().replace(b'["alpha"]', b'"alpha"')])
def test_what_is_no_beat_is_left_alone(odd: bytes | None) -> None:
    assert decoded_beat(odd) is None


@given(st.binary(max_size=300))
def test_nothing_that_is_sent_raises(data: bytes) -> None:
    decoded_beat(data)


def test_a_later_version_may_say_more() -> None:
    assert decoded_beat(BEAT.encoded().replace(b'"v":1', b'"v":2,"mood":"fine"')) == BEAT


def test_a_member_is_alive_while_it_is_heard_and_until_it_says_that_it_leaves() -> None:
    roll = RollCall("g")
    assert roll.take(BEAT, 0.0)
    assert not roll.take(BEAT, 1.0), "nothing has changed"
    assert not roll.take(replace(BEAT, group="other", instance="z"), 1.0)
    assert not roll.take(replace(BEAT, instance="b", state=KNOCKING), 1.0)
    assert list(roll.alive(1.0 + SILENT - 0.1)) == ["a"]
    assert list(roll.alive(1.0 + SILENT)) == []
    assert roll.take(replace(BEAT, state=LEFT), 2.0)
    assert list(roll.alive(2.0)) == []
    assert roll.last_of("a") == replace(BEAT, state=LEFT)


def test_made_up_names_push_out_who_is_gone_and_nobody_else() -> None:
    roll = RollCall("g")
    roll.take(BEAT, 0.0)
    roll.take(replace(BEAT, instance="gone", state=LEFT), 0.0)
    for number in range(3 * MOST_MEMBERS):
        roll.take(replace(BEAT, instance=f"x{number}"), 1.0)
    assert len(roll.ages(1.0)) == MOST_MEMBERS
    assert roll.last_of("a") == BEAT
    assert roll.last_of("gone") is None
    assert roll.take(replace(BEAT, instance="later"), 1.0 + SILENT)
    assert len(roll.ages(1.0)) == MOST_MEMBERS


def test_a_slot_is_carried_by_others_where_its_owner_says_so() -> None:
    roll = RollCall("g")
    roll.take(BEAT, 0.0)
    roll.take(replace(BEAT, instance="b", owned=frozenset({5}), carrying=frozenset({5, 6})), 0.0)
    assert roll.carried_by_others("a", 1.0) == {5}
    assert roll.carried_by_others("b", 1.0) == {2}
    assert roll.carried_by_others("b", SILENT) == set()


# -- the name of an instance


def name_after(*beats: tuple[str, str], own: str = "2") -> InstanceName:
    name = InstanceName("a", own)
    for incarnation, state in beats:
        name.take(replace(BEAT, incarnation=incarnation, state=state))
    return name


def test_a_name_that_nobody_has_is_free_at_once() -> None:
    name = name_after(("2", KNOCKING))
    assert (name.knocked, name.must_wait, name.taken_by) == (True, False, None)


def test_a_name_whose_process_has_left_is_free_at_once() -> None:
    assert not name_after(("1", AT_WORK), ("1", LEFT), ("2", KNOCKING)).must_wait


def test_a_process_that_was_killed_is_waited_for_and_then_its_name_is_free() -> None:
    name = name_after(("1", AT_WORK), ("2", KNOCKING))
    assert name.must_wait
    assert name.taken_by is None


def test_a_process_that_is_alive_keeps_its_name() -> None:
    name = name_after(("1", AT_WORK), ("2", KNOCKING), ("1", AT_WORK))
    assert name.taken_by is not None
    assert name.taken_by.incarnation == "1"
    assert name_after(("1", AT_WORK), ("2", KNOCKING), own="1").taken_by is None
    assert name_after(("1", AT_WORK), ("2", KNOCKING), own="1").asked_for is not None


def test_of_two_that_come_at_once_the_second_gives_way() -> None:
    heard = (("1", KNOCKING), ("2", KNOCKING), ("1", AT_WORK))
    assert name_after(*heard, own="1").taken_by is None
    assert name_after(*heard, own="2").taken_by is not None


def test_a_process_that_was_stopped_for_a_while_gives_way_to_who_has_taken_its_place() -> None:
    heard = (("1", AT_WORK), ("2", KNOCKING), ("2", AT_WORK), ("1", AT_WORK))
    assert name_after(*heard, own="1").taken_by is not None
    assert name_after(*heard, own="2").taken_by is None


# -- what a member runs


@given(st.lists(st.tuples(st.frozensets(st.integers(0, 9)), st.frozensets(st.integers(0, 9)))))
def test_a_slot_is_run_from_when_it_is_given_until_others_carry_it(
    steps: list[tuple[frozenset[int], frozenset[int]]]
) -> None:
    holding, running = SlotHolding(), set[int]()
    for owned, carried in steps:
        holding.given(owned)
        running |= owned
        assert holding.running == running
        ended = holding.carried_by_others(carried)
        assert ended == bool(running - owned & carried and (running - owned) & carried)
        running -= carried - owned
        assert holding.running == running
        assert holding.owned == owned
