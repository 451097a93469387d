"""What a member tells whoever assigns the slots, and what is told to it in turn.

Both are JSON behind a version, and carry what may grow: a member of a later version may say more, which is left alone,
and lack nothing of what is read here. So two versions can be members of one group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from k2conn import exactjson
from k2conn.group import said
from k2conn.group.assignor import SlotClaim, assign_slots
from k2conn.group.slots import MOST_SLOTS, SlotTable

VERSION = 1
_LARGEST_TEXT = 64
_LARGEST_REFUSAL = 4096


@dataclass(frozen=True, slots=True)
class MemberData:
    """One member, by its own words. ``instance``: its name, the same over restarts."""

    instance: str
    digest: str
    slots: int
    connectors: tuple[str, ...]
    claim: SlotClaim = field(default_factory=SlotClaim)

    @classmethod
    def of(cls, instance: str, table: SlotTable, claim: SlotClaim) -> MemberData:
        """Of a member that shares the slots of a table."""
        return cls(instance, table.digest, table.count, table.connectors, claim)

    def encoded(self) -> bytes:
        """As it is sent."""
        return exactjson.encode({
            "version": VERSION, "instance": self.instance, "digest": self.digest, "slots": self.slots,
            "connectors": list(self.connectors), "owned": sorted(self.claim.slots), "generation": self.claim.generation,
        })

    @classmethod
    def decoded(cls, data: bytes) -> MemberData | None:
        """What another member sent; None where it is nothing of ours."""
        try:
            sent = exactjson.decode(data)
            said.number(sent["version"], VERSION, said.LARGEST_COUNT)
            slots = said.number(sent["slots"], 1, MOST_SLOTS)
            claim = SlotClaim(said.slots(sent["owned"]), said.generation(sent["generation"]))
            instance, digest = said.text(sent["instance"]), said.text(sent["digest"])
            return cls(instance, digest, slots, said.texts(sent["connectors"]), claim)
        except (exactjson.JsonError, KeyError, TypeError):
            return None

    def difference(self, other: MemberData) -> str:
        """Why this member cannot share slots with another one, in words."""
        if self.slots != other.slots:
            return f"it has {self.slots} slots, the group has {other.slots} (K2_GROUP_SLOTS)"
        lacks, more = set(other.connectors) - set(self.connectors), set(self.connectors) - set(other.connectors)
        parts = [f"it lacks {', '.join(sorted(lacks))}"] if lacks else []
        parts += [f"only it has {', '.join(sorted(more))}"] if more else []
        return "other connectors: " + "; ".join(parts) if parts else (
            "it delivers or keeps its state in another way than the group (K2_KAFKA_DELIVERY, K2_STATE), or a"
            " connector's file bounds the connections in another way"
        )


@dataclass(frozen=True, slots=True)
class GivenSlots:
    """What one member is given. ``refused``: why it is given nothing, where it cannot be a member; ``generation``:
    larger than all that members have heard of before.
    """

    slots: tuple[int, ...] = ()
    refused: str = ""
    generation: int = 0

    def encoded(self) -> bytes:
        """What goes beside the slots themselves, which the protocol of Kafka carries."""
        return exactjson.encode({"version": VERSION, "refused": self.refused, "generation": self.generation})

    @classmethod
    def beside(cls, data: bytes) -> GivenSlots:
        """What was sent beside the slots."""
        try:
            sent = exactjson.decode(data)
            refused = sent["refused"]
            if type(refused) is not str:
                return cls()
            return cls((), refused[:_LARGEST_REFUSAL], said.generation(sent["generation"]))
        except (exactjson.JsonError, KeyError, TypeError):
            return cls()


def given_slots(members: Mapping[str, bytes], own: MemberData, weights: tuple[int, ...]) -> dict[str, GivenSlots]:
    """What each member is given, by the id that Kafka knows it by. ``own``: the member that assigns.

    Those that differ from the ones who have the slots are refused by name; so is what is no member of ours, and all but
    one of the ids with the same instance name.
    """
    read = {member: MemberData.decoded(data) for member, data in members.items()}
    known = {member: one for member, one in read.items() if one is not None}
    standard = _standard(known, own)
    found = {member: GivenSlots(refused="it is no k2conn of this group's kind") for member in read.keys() - known}
    alike: dict[str, str] = {}
    for member, one in sorted(known.items(), key=lambda item: (-item[1].claim.generation, item[0])):
        if one.digest != standard.digest:
            found[member] = GivenSlots(refused=f"{_short(one.instance)}: {one.difference(standard)}")
        elif one.instance in alike:
            found[member] = GivenSlots(refused=f"{_short(one.instance)}: another member has this instance id")
        else:
            alike[one.instance] = member
    shares = assign_slots({name: known[member].claim for name, member in alike.items()}, weights)
    generation = min(max((one.claim.generation for one in known.values()), default=0) + 1, said.LATEST_GENERATION)
    return {**found, **{alike[name]: GivenSlots(slots, "", generation) for name, slots in shares.items()}}


def _standard(known: Mapping[str, MemberData], own: MemberData) -> MemberData:
    """The kind of member that has most of the slots; of the one that assigns, where nobody has any."""
    owned: dict[str, int] = {}
    for one in known.values():
        owned[one.digest] = owned.get(one.digest, 0) + len(one.claim.slots)
    most = max(owned, key=lambda digest: (owned[digest], digest == own.digest, digest), default=own.digest)
    return next((one for _, one in sorted(known.items()) if one.digest == most), own)


def _short(text: str) -> str:
    return text if len(text) <= _LARGEST_TEXT else f"{text[:_LARGEST_TEXT]}..."
