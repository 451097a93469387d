"""Which slot a symbol falls into, and who gets which slots."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.group.assignor import SlotClaim, assign_slots, tolerated_lead
from k2conn.group.member_data import GivenSlots, MemberData, given_slots
from k2conn.group.slots import Bundled, SlotTable, slot_of

# -- slots


@pytest.mark.parametrize(
    ("connector", "bundle", "slot"),
    [("alpha", ("BTC-USD",), 1), ("beta", ("BTC-USD",), 15), ("alpha", ("ETH-USD", "BTC-USD"), 1)],
)
def test_a_bundle_falls_into_the_same_slot_in_every_version(connector: str, bundle: tuple[str, ...], slot: int) -> None:
    assert slot_of(connector, bundle, 64) == slot


NAMES = st.lists(st.text("ABCDEFGH", min_size=1, max_size=6), min_size=1, max_size=40, unique=True)


@given(NAMES, st.integers(1, 200), st.integers(1, 10))
def test_a_connector_spreads_over_no_more_slots_than_its_venue_allows_connections(
    names: list[str], slots: int, most: int
) -> None:
    used = {slot_of("alpha", (name,), slots, most) for name in names}
    assert len(used) <= most
    assert used <= set(range(slots))


@given(NAMES, st.integers(1, 100), st.integers(1, 5))
def test_every_symbol_is_in_one_slot_and_all_slots_together_are_all_symbols(
    names: list[str], count: int, effort: int
) -> None:
    bundled = Bundled("alpha", tuple((name,) for name in names), effort=effort)
    table = SlotTable(count, (bundled, replace(bundled, connector="beta", effort=1)))
    per_slot = [table.symbols([slot]) for slot in range(count)]
    for connector in ("alpha", "beta"):
        found = [name for one in per_slot for name in one.get(connector, ())]
        assert sorted(found) == sorted(names)
        assert list(table.symbols(range(count))[connector]) == names, "in the order in which they were named"
    assert sum(table.weights) == len(names) * (effort + 1)


def test_symbols_that_belong_together_are_in_one_slot() -> None:
    table = SlotTable(64, (Bundled("alpha", (("A", "B", "C"), ("D",))),))
    together = [slot for slot in range(64) if "A" in table.of(slot).get("alpha", ())]
    assert [table.of(slot)["alpha"] for slot in together] == [("A", "B", "C")]


def test_the_digest_tells_other_connectors_and_slots_but_not_other_symbols() -> None:
    table = SlotTable(64, (Bundled("alpha", (("A",),)), Bundled("beta", (("A",),))))
    turned = SlotTable(64, tuple(reversed(table.bundled)))
    more = SlotTable(64, (Bundled("alpha", (("A",), ("B",))), Bundled("beta", (("A",),))))
    assert table.digest == turned.digest == more.digest
    assert table.symbols_digest == turned.symbols_digest != more.symbols_digest
    others = [replace(table, count=63), replace(table, bundled=table.bundled[:1]),
              replace(table, bundled=(Bundled("alpha", (("A",),), most=3), table.bundled[1]))]
    assert len({table.digest, *(one.digest for one in others)}) == 4


# -- the assignment

WEIGHTS = st.lists(st.integers(0, 50), min_size=1, max_size=80)
MEMBERS = st.lists(st.sampled_from([f"m{number}" for number in range(12)]), min_size=1, max_size=12, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[str, SlotClaim], list[int]]:
    """Members with any claims: outdated, contradicting, of slots that are not there."""
    weights = draw(WEIGHTS)
    claims = st.builds(
        SlotClaim, st.frozensets(st.integers(0, len(weights) + 3), max_size=len(weights)), st.integers(-1, 5)
    )
    return {name: draw(claims) for name in draw(MEMBERS)}, weights


def claims_of(shares: dict[str, tuple[int, ...]], generation: int = 7) -> dict[str, SlotClaim]:
    return {name: SlotClaim(frozenset(slots), generation) for name, slots in shares.items()}


def loads(shares: dict[str, tuple[int, ...]], weights: list[int]) -> dict[str, int]:
    return {name: sum(weights[slot] for slot in slots) for name, slots in shares.items()}


@given(groups())
def test_every_slot_has_one_owner(group: tuple[dict[str, SlotClaim], list[int]]) -> None:
    members, weights = group
    shares = assign_slots(members, weights)
    assert shares.keys() == members.keys()
    assert sorted(slot for slots in shares.values() for slot in slots) == list(range(len(weights)))


@given(groups())
def test_nobody_has_too_much_that_could_be_moved(group: tuple[dict[str, SlotClaim], list[int]]) -> None:
    members, weights = group
    shares = assign_slots(members, weights)
    load, tolerated = loads(shares, weights), tolerated_lead(weights, len(members))
    lightest = min(load.values())
    for name, slots in shares.items():
        lead = load[name] - lightest
        assert lead <= tolerated or all(weights[slot] == 0 or weights[slot] >= lead for slot in slots)


@given(st.integers(1, 12), st.integers(1, 400))
def test_equal_slots_are_dealt_out_evenly(members: int, slots: int) -> None:
    shares = assign_slots({f"m{number:02}": SlotClaim() for number in range(members)}, [1] * slots)
    counts = [len(one) for one in shares.values()]
    assert max(counts) - min(counts) <= 1


@given(groups())
def test_nothing_moves_where_nothing_has_changed(group: tuple[dict[str, SlotClaim], list[int]]) -> None:
    members, weights = group
    shares = assign_slots(members, weights)
    assert assign_slots(claims_of(shares), weights) == shares


@given(groups(), st.data())
def test_those_who_stay_lose_nothing_when_a_member_is_gone(
    group: tuple[dict[str, SlotClaim], list[int]], data: st.DataObject
) -> None:
    """As far as the slots of the one that is gone are enough to keep the balance: equal weights."""
    members, weights = group
    even = [1] * len(weights)
    before = assign_slots(members, even)
    gone = data.draw(st.sampled_from(sorted(before)))
    stay = {name: claim for name, claim in claims_of(before).items() if name != gone}
    after = assign_slots(stay, even)
    assert all(set(before[name]) <= set(after[name]) for name in after)


@given(st.integers(2, 12), st.integers(1, 300))
def test_a_member_that_joins_takes_its_share_and_nothing_else_moves(members: int, slots: int) -> None:
    before = assign_slots({f"m{number:02}": SlotClaim() for number in range(members)}, [1] * slots)
    after = assign_slots({**claims_of(before), "new": SlotClaim()}, [1] * slots)
    moved = sum(len(set(before[name]) - set(after[name])) for name in before)
    assert moved == len(after["new"]) <= slots // (members + 1) + 1
    assert all(set(after[name]) <= set(before[name]) for name in before)


@given(groups(), st.data())
def test_a_rolling_restart_moves_nothing(
    group: tuple[dict[str, SlotClaim], list[int]], data: st.DataObject
) -> None:
    """A member that comes back under its name claims what it had, whoever assigns, in whatever order they restart."""
    members, weights = group
    before = assign_slots(members, weights)
    claims = claims_of(before)
    for name in data.draw(st.permutations(sorted(before))):
        claims[name] = SlotClaim(frozenset(before[name]), 7)  # as its last beat says
        shares = assign_slots(dict(reversed(claims.items())), weights)
        assert shares == before
        claims = claims_of(shares, 8)


def test_a_slot_that_two_claim_stays_with_the_one_that_was_given_it_last() -> None:
    old, new = SlotClaim(frozenset({0, 1}), 3), SlotClaim(frozenset({1, 2}), 4)
    assert assign_slots({"a": old, "b": new}, [1, 1, 1]) == {"a": (0,), "b": (1, 2)}


def test_a_heavy_slot_does_not_keep_others_from_a_member_that_joins() -> None:
    weights = [100, *[1] * 60]
    before = {"a": SlotClaim(frozenset({0}), 1), "b": SlotClaim(frozenset(range(1, 61)), 1), "c": SlotClaim()}
    shares = assign_slots(before, weights)
    assert shares["a"] == (0,)
    assert abs(len(shares["b"]) - len(shares["c"])) <= 4


# -- what members say

TABLE = SlotTable(8, (Bundled("alpha", tuple((name,) for name in "ABCDEFGHIJKL")),))


def data_of(instance: str, table: SlotTable = TABLE, claim: SlotClaim | None = None) -> bytes:
    return MemberData.of(instance, table, claim or SlotClaim()).encoded()


def given_to(members: dict[str, bytes], own: str = "a") -> dict[str, GivenSlots]:
    return given_slots(members, MemberData.of(own, TABLE, SlotClaim()), TABLE.weights)


def test_what_a_member_says_is_read_back() -> None:
    claim = SlotClaim(frozenset({1, 5}), 9)
    assert MemberData.decoded(data_of("a", claim=claim)) == MemberData.of("a", TABLE, claim)


def test_a_later_version_may_say_more() -> None:
    later = data_of("b").replace(b'"version":1', b'"version":2,"mood":"fine"')
    found = given_to({"1": data_of("a"), "2": later})
    assert not any(one.refused for one in found.values())
    assert found["1"].slots
    assert found["2"].slots


@pytest.mark.parametrize("odd", [b"", b"x", b"{}", b"[]", b'{"version":0}', b"\xff"])
def test_what_is_no_member_of_ours_is_given_nothing(odd: bytes) -> None:
    found = given_to({"1": data_of("a"), "2": odd})
    assert found["2"].slots == ()
    assert found["2"].refused
    assert found["1"].slots == tuple(range(8))


def test_a_member_with_other_connectors_or_slots_is_refused_by_name() -> None:
    more = SlotTable(8, (*TABLE.bundled, Bundled("beta", (("A",),))))
    owner = data_of("a", claim=SlotClaim(frozenset(range(8)), 1))
    found = given_to({"1": owner, "2": data_of("b", more), "3": data_of("c", replace(TABLE, count=9))}, own="b")
    assert found["2"].refused == "b: other connectors: only it has beta"
    assert found["3"].refused == "c: it has 9 slots, the group has 8 (K2_GROUP_SLOTS)"
    assert GivenSlots.beside(found["3"].encoded()).refused == found["3"].refused
    assert found["1"].slots == tuple(range(8))
    beside = GivenSlots.beside(found["1"].encoded())
    assert (beside.refused, beside.generation) == ("", 2)


def test_whoever_has_the_slots_decides_what_the_group_runs_and_not_who_assigns() -> None:
    more = SlotTable(8, (*TABLE.bundled, Bundled("beta", (("A",),))))
    newcomer = MemberData.of("b", more, SlotClaim())
    members = {"1": data_of("a", claim=SlotClaim(frozenset({3}), 1)), "2": newcomer.encoded()}
    found = given_slots(members, newcomer, more.weights)
    assert found["2"].refused
    assert not found["1"].refused


@given(st.binary(max_size=200))
def test_nothing_that_is_sent_raises(data: bytes) -> None:
    MemberData.decoded(data)
    GivenSlots.beside(data)
