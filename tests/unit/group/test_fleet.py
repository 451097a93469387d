"""The simulator of a fleet: what it says of a small one, which can be reckoned by hand."""

from __future__ import annotations

import pytest

from benchmarks import fleet
from benchmarks.fleet import Fleet, Group, Venue, ordinals
from k2conn.plan import Backoff, Rate

WIDE = Venue("venue-a", Rate(300, 300.0), 1000, None, Backoff())
NARROW = Venue("venue-b", Rate(2, 10.0), 1, None, Backoff())
ONE = Venue("venue-c", Rate(300, 300.0), 1000, 1, Backoff())
FOUR = ["a", "b", "c", "d"]


def test_all_symbols_are_carried_whoever_comes_and_goes() -> None:
    group = Group([WIDE, ONE], 100, 64, seed=1)
    for members in (FOUR, FOUR[1:], FOUR, FOUR[:1]):
        group.change(members)
        carried = group.fleet.carried
        assert carried.keys() == set(members)
        for venue in (WIDE, ONE):
            assert sum(symbols.get(venue.name, 0) for symbols in carried.values()) == 100
        assert sum(ONE.name in symbols for symbols in carried.values()) == 1, "the venue allows one connection"


def test_those_who_are_killed_are_replaced_and_the_others_keep_what_they_have() -> None:
    group = Group([WIDE], 256, 64, seed=1)
    group.change(FOUR, FOUR)
    play, moved, needless = group.change(FOUR[1:], after=10.2)
    assert play.seconds == pytest.approx(10.5)
    assert moved >= 10
    assert needless <= 3
    _, moved = group.restart("b")
    assert moved == 0


def test_members_that_know_of_each_other_keep_to_a_limit_together_and_others_do_not() -> None:
    found = {}
    for divided in (True, False):
        play = Fleet([NARROW], divided, seed=1)
        made = play.become(ordinals([NARROW], 16, FOUR), FOUR)
        found[divided] = fleet._row(made, [NARROW])
    assert found[False]["worst_beside_limit"] == 4.0
    assert found[True]["worst_beside_limit"] == 1.0
    assert found[True]["attempts"] == found[False]["attempts"] == 16
    assert found[True]["seconds"] >= 70.0, "sixteen connections, two in ten seconds"


def test_an_outage_ends_when_the_venue_is_back() -> None:
    play = Fleet([WIDE], True, seed=1)
    play.become(ordinals([WIDE], 16, FOUR), FOUR)
    back = play.outage()
    assert 60.0 < back.after(0.5) <= back.seconds < 60.0 + WIDE.reconnect.cap + 1
    assert len(back.attempts[WIDE.name]) > 4, "those were refused that came before"


def test_the_table_has_a_line_for_everything_that_happens() -> None:
    found = fleet.run(count=2, symbols=20, members=6, slots=16)
    lines = fleet.table(found).splitlines()
    assert len(lines) == 2 + len(found["group"]) + len(found["ordinals"])
    assert found["group"]["rolling restart"]["moved"] == 0
    assert "nobody takes over" in fleet.table(found)
