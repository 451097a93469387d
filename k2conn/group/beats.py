"""What each member says of itself to all others, every second and whenever something changes; and what follows from it.

All hear it in the same order. Nobody's clock counts: a member is alive while it is heard, by the clock of who listens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2conn import exactjson
from k2conn.group import said
from k2conn.group.slots import MOST_SLOTS

VERSION = 1
EVERY = 1.0
"""Seconds between two beats."""
SILENT = 10.0
"""Seconds after which a member that is not heard does not count any more: as long as a session is by default."""
KNOCK = 3.0
"""Seconds in which whoever has an instance's name must be heard, for it not to be free."""
KNOCKING, AT_WORK, LEFT = "knocking", "at work", "left"
RELOAD = "reload"
"""What is said to all members: read your connector files again."""
MOST_MEMBERS = 1000
"""Instances that are kept in mind."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a member says. ``incarnation`` tells one process of the instance from another one; ``owned`` are the slots
    that it was given, ``carrying`` those whose symbols it has subscribed, lost ones too until their new owner has.
    """

    group: str
    instance: str
    incarnation: str
    state: str = KNOCKING
    generation: int = -1
    owned: frozenset[int] = field(default_factory=frozenset)
    carrying: frozenset[int] = field(default_factory=frozenset)
    digest: str = ""
    slots: int = 0
    connectors: tuple[str, ...] = ()
    symbols: str = ""
    """A digest of all symbols that it knows, its own and others'."""
    load: int = 0
    """The work of its slots."""
    unsent: int = 0
    host: str = ""
    pid: int = 0
    version: str = ""
    warm: frozenset[int] = field(default_factory=frozenset)
    """Slots that it has subscribed, and that begin once their old owner has ended them."""

    def encoded(self) -> bytes:
        """As it is sent."""
        return exactjson.encode({
            "v": VERSION, "group": self.group, "instance": self.instance, "incarnation": self.incarnation,
            "state": self.state, "generation": self.generation, "owned": sorted(self.owned),
            "carrying": sorted(self.carrying), "warm": sorted(self.warm), "digest": self.digest, "slots": self.slots,
            "connectors": list(self.connectors), "symbols": self.symbols, "load": self.load, "unsent": self.unsent,
            "host": self.host, "pid": self.pid, "version": self.version,
        })


def decoded_beat(data: bytes | None) -> Beat | None:
    """What a member sent; None where it is nothing of ours."""
    try:
        sent: Any = exactjson.decode(data or b"")
        if not isinstance(sent, Mapping) or _count(sent["v"]) < VERSION:
            return None
        return Beat(
            said.text(sent["group"]), said.text(sent["instance"]), said.text(sent["incarnation"]),
            said.text(sent["state"]), said.generation(sent["generation"]), said.slots(sent["owned"]),
            said.slots(sent["carrying"]), said.text(sent["digest"]), said.number(sent["slots"], 0, MOST_SLOTS),
            said.texts(sent["connectors"]), said.text(sent["symbols"]), _count(sent["load"]), _count(sent["unsent"]),
            said.text(sent["host"]), _count(sent["pid"]), said.text(sent["version"]),
            said.slots(sent.get("warm", [])),
        )
    except (exactjson.JsonError, KeyError, TypeError):
        return None


def _count(value: object) -> int:
    return said.number(value, 0, said.LARGEST_COUNT)


class RollCall:
    """The members of one group, by what was heard of them. ``silent``: seconds after which one that is not heard does
    not count any more. Of more than `MOST_MEMBERS` instances those that are gone are forgotten first; while none is,
    who comes with a new name is not heard.
    """

    def __init__(self, group: str, silent: float = SILENT) -> None:
        self._group = group
        self._silence = silent
        self._latest: dict[str, tuple[Beat, float]] = {}
        """By instance: the last beat, and when it was heard (seconds, monotonic)."""

    def take(self, beat: Beat, now: float) -> bool:
        """Somebody was heard; whether who owns or carries what has changed."""
        if beat.group != self._group:
            return False
        before = self._latest.get(beat.instance)
        if beat.state == KNOCKING:
            return False  # it is no member yet, and another process of its name may be one
        if before is None and len(self._latest) >= MOST_MEMBERS and not self._forgot_one(now):
            return False
        self._latest[beat.instance] = beat, now
        return before is None or (before[0].owned, before[0].carrying, before[0].warm, before[0].state) != (
            beat.owned, beat.carrying, beat.warm, beat.state
        )

    def _forgot_one(self, now: float) -> bool:
        alive = self.alive(now)
        gone = [(heard, name) for name, (_, heard) in self._latest.items() if name not in alive]
        if gone:
            del self._latest[min(gone)[1]]
        return bool(gone)

    def last_of(self, instance: str) -> Beat | None:
        """What an instance said last, whether it is alive or not."""
        return self._latest[instance][0] if instance in self._latest else None

    def alive(self, now: float) -> dict[str, Beat]:
        """The members that are heard, by instance in order."""
        return {
            name: beat for name, (beat, heard) in sorted(self._latest.items())
            if beat.state == AT_WORK and now - heard < self._silence
        }

    def silent(self, now: float) -> list[str]:
        """Members that have not said that they leave, and are not heard any more."""
        return [name for name, (beat, heard) in sorted(self._latest.items())
                if beat.state == AT_WORK and now - heard >= self._silence]

    def ages(self, now: float) -> dict[str, float]:
        """How long ago each was heard."""
        return {name: now - heard for name, (_, heard) in self._latest.items()}

    def carried_by_others(self, instance: str, now: float) -> set[int]:
        """Slots that others own and carry."""
        return {
            slot for name, beat in self.alive(now).items() if name != instance for slot in beat.owned & beat.carrying
        }

    def warm_with_others(self, instance: str, now: float) -> set[int]:
        """Slots that others own, and would carry as soon as nobody else does."""
        return {slot for name, beat in self.alive(now).items() if name != instance for slot in beat.owned & beat.warm}

    def held_by_others(self, instance: str, now: float) -> set[int]:
        """Slots that others carry, whether they own them or not."""
        return {slot for name, beat in self.alive(now).items() if name != instance for slot in beat.carrying}


class InstanceName:
    """Whether a process may use its instance's name: no other process of that name is heard.

    A process knocks, and waits whether one that it knew before is heard after that. Of two that come at once, the one
    that knocked second gives way. One that was stopped for a while and finds another in its place ends, too.
    """

    def __init__(self, instance: str, incarnation: str) -> None:
        self._instance = instance
        self._own = incarnation
        self._before: set[str] = set()
        """Processes of this name that were heard before the knock."""
        self._knocked = self._at_work = False
        self._last_before = ""
        self._taken_by: Beat | None = None
        self.asked_for: Beat | None = None
        """Another process that knocks now."""

    def take(self, beat: Beat) -> None:
        """Somebody was heard."""
        if beat.instance != self._instance:
            return
        if beat.incarnation == self._own:
            self._knocked = True
            self._at_work = self._at_work or beat.state == AT_WORK
        elif not self._knocked:
            self._before.add(beat.incarnation)
            self._last_before = beat.state
        elif beat.state == KNOCKING:
            self.asked_for = beat
        elif beat.state == AT_WORK and not (self._at_work and beat.incarnation in self._before):
            self._taken_by = beat

    @property
    def knocked(self) -> bool:
        """Whether the own knock was heard."""
        return self._knocked

    @property
    def must_wait(self) -> bool:
        """Whether another process may be alive that is only not heard yet."""
        return bool(self._before) and self._last_before != LEFT

    @property
    def taken_by(self) -> Beat | None:
        """The other process that has the name; None where the name is this one's."""
        return self._taken_by
