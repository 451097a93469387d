"""What a group of processes hears from others: beats, what members tell who assigns the slots, and what is assigned.
Any bytes are a message or nothing; whatever is heard, each slot has one owner, and what this member says is understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k2conn import exactjson
from k2conn.group.assignor import SlotClaim
from k2conn.group.beats import AT_WORK, KNOCKING, LEFT, MOST_MEMBERS, RELOAD, Beat, InstanceName, RollCall, decoded_beat
from k2conn.group.holding import SlotHolding
from k2conn.group.member_data import GivenSlots, MemberData, given_slots
from k2conn.group.slots import MOST_SLOTS, Bundled, SlotTable
from k2conn.group.survey import survey_of
from tests.fuzz.draws import Draws

GROUP, SLOTS = "g", 16
TABLE = SlotTable(SLOTS, (Bundled("alpha", tuple((f"S{at}",) for at in range(40))), Bundled("beta", (("X", "Y"),), 2)))
BEAT = Beat(GROUP, "a", "1", AT_WORK, 4, frozenset({1, 2}), frozenset({2}), TABLE.digest, SLOTS, TABLE.connectors,
            TABLE.symbols_digest, 31, 7, "host", 12, "1.0")
OWN = MemberData.of("own", TABLE, SlotClaim(frozenset({0, 3}), 2))
STATES = (AT_WORK, KNOCKING, LEFT, RELOAD, "")
RAW, CHANGED, BESIDE = range(3)
TRACED = ("k2conn.group",)
WORDS = (b'"v":1', b'"version":1', b'"group":"g"', b'"owned":[', b'"generation":', b'"slots":16', b"1e999999999",
         b"4611686018427387904", b"-1", b"4096", b'"state":"at work"', b"\\u0000", b"null")


def seeds() -> Iterator[bytes]:
    """Messages: how each is made, its length, its bytes or its changes."""
    beat, member = BEAT.encoded(), OWN.encoded()
    for data in (beat, member, GivenSlots((), "", 5).encoded()):
        yield bytes((RAW,)) + len(data).to_bytes(2, "big") + data
        yield bytes((BESIDE,)) + len(data).to_bytes(2, "big") + data
    for at in range(80):
        yield bytes((CHANGED, at % 2, 2, at % 16, at % 12, at % 26, (at + 5) % 16, 3, 7)) * 3


def messages(draws: Draws) -> Iterator[tuple[int, bytes]]:
    """Some messages, by how they are made."""
    count = 0
    while draws.left and count < 60:
        count += 1
        kind = draws.below(3)
        if kind == CHANGED:
            said: dict[str, Any] = exactjson.decode((BEAT if draws.below(2) else OWN).encoded())
            for _ in range(draws.below(4)):
                said[draws.of([*said])] = draws.of(STATES) if draws.below(4) == 3 else draws.value()
            said["instance"] = said.get("instance") if draws.below(3) else f"m{draws.below(20)}"
            yield kind, exactjson.encode(said)
        else:
            size = draws.byte() << 8 | draws.byte()
            yield kind, draws.piece(min(size, 255)) if size < 256 else draws.rest()[:size]


def target(data: bytes) -> None:
    """One group's life."""
    roll, name, holding = RollCall(GROUP), InstanceName("a", "1"), SlotHolding()
    members: dict[str, bytes] = {"me": OWN.encoded()}
    now = 0.0
    for kind, said in messages(Draws(data)):
        now += 0.5
        given = GivenSlots.beside(said)
        assert 0 <= len(given.refused) <= 4096
        if kind == BESIDE:
            continue
        members[f"id{len(members)}"] = said
        beat = decoded_beat(said)
        if beat is not None:
            checked(beat)
            name.take(beat)
            roll.take(beat, now)
        assert len(roll.ages(now)) <= MOST_MEMBERS
    holding.given(range(8))
    holding.given(range(4))
    holding.carried_by_others(roll.carried_by_others("own", now))
    for beat in roll.alive(now).values():
        TABLE.symbols(slot for slot in beat.owned if slot < TABLE.count)
    found = survey_of(GROUP, roll, now)
    assert len(found["without_owner"]) <= MOST_SLOTS
    exactjson.encode(found)
    shared(members)


def checked(beat: Beat) -> None:
    """A beat can be said again, and is the same then."""
    assert decoded_beat(beat.encoded()) == beat


def shared(members: dict[str, bytes]) -> None:
    """Each is given slots of this group or told why not, and understands it."""
    found = given_slots(members, OWN, TABLE.weights)
    assert found.keys() == members.keys()
    slots = sorted(slot for one in found.values() for slot in one.slots)
    assert slots == [*range(SLOTS)] or all(one.refused for one in found.values())
    for one in found.values():
        beside = GivenSlots.beside(one.encoded())
        assert beside.refused == one.refused[:4096]
        assert beside.generation == one.generation
        again = MemberData.of("own", TABLE, SlotClaim(frozenset(one.slots), one.generation))
        assert MemberData.decoded(again.encoded()) == again
