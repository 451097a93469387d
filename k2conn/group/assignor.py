"""Who gets which slots.

Every slot has one owner. A slot stays with the member that has it, unless that member is gone or has so much more than
the lightest that moving the slot makes a difference. The same question always gets the same answer.

Pure: any member may be the one that is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TOLERATED = 20
"""Slots only move from a member whose lead before the lightest is more than the mean load, divided by this."""


@dataclass(frozen=True, slots=True)
class SlotClaim:
    """What a member says that it has: slots, and the group's generation in which it was given them."""

    slots: frozenset[int] = field(default_factory=frozenset)
    generation: int = -1


def assign_slots(members: Mapping[str, SlotClaim], weights: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The slots of each member, by its name, which must be the same over restarts. ``weights``: of all slots."""
    if not members:
        return {}
    hands = _Hands(members, weights)
    hands.keep(members)
    hands.deal_out()
    hands.level()
    return hands.slots()


def tolerated_lead(weights: Sequence[int], members: int) -> int:
    """How much more than the lightest a member may have."""
    return max(1, sum(weights) // (members * TOLERATED))


class _Hands:
    """What each member has so far."""

    def __init__(self, members: Mapping[str, SlotClaim], weights: Sequence[int]) -> None:
        self._weights = weights
        self._held: dict[str, set[int]] = {name: set() for name in sorted(members)}
        self._loads = dict.fromkeys(self._held, 0)

    def slots(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(sorted(held)) for name, held in self._held.items()}

    def keep(self, members: Mapping[str, SlotClaim]) -> None:
        """Everybody keeps what it has; of two that claim a slot the one that was given it last."""
        latest: dict[int, tuple[int, str]] = {}
        for name, claim in sorted(members.items()):
            for slot in claim.slots:
                if 0 <= slot < len(self._weights):
                    latest[slot] = max(latest.get(slot, (-2, "")), (claim.generation, name))
        for slot, (_, name) in latest.items():
            self._give(name, slot)

    def deal_out(self) -> None:
        """Slots that nobody has go to those with least, heavy ones first; those without work to those with fewest."""
        owned = set().union(*self._held.values())
        left = [slot for slot in range(len(self._weights)) if slot not in owned]
        for slot in sorted(left, key=lambda one: (-self._weights[one], one)):
            by_load = bool(self._weights[slot])
            self._give(min(self._held, key=lambda one: self._order(one, by_load)), slot)

    def level(self) -> None:
        """Moves slots to the lightest member while somebody has too much, and a move makes it less."""
        tolerated = tolerated_lead(self._weights, len(self._held))
        while (move := self._best_move(tolerated)) is not None:
            heavy, slot, light = move
            self._held[heavy].discard(slot)
            self._loads[heavy] -= self._weights[slot]
            self._give(light, slot)

    def _best_move(self, tolerated: int) -> tuple[str, int, str] | None:
        """The slot to move off the heaviest member that has a suitable one: which halves its lead, as far as one can.
        Every move lessens the sum of the squares of all loads, so that there is a last one.
        """
        light = min(self._held, key=lambda one: self._order(one, True))
        for heavy in sorted(self._held, key=lambda one: (-self._loads[one], one)):
            lead = self._loads[heavy] - self._loads[light]
            if lead <= tolerated:
                return None
            gains = {slot: min(self._weights[slot], lead - self._weights[slot]) for slot in self._held[heavy]}
            slot = max(gains, key=lambda one: (gains[one], -one))
            if gains[slot] > 0:
                return heavy, slot, light
        return None

    def _order(self, name: str, by_load: bool) -> tuple[int, int, str]:
        load, count = self._loads[name], len(self._held[name])
        return (load, count, name) if by_load else (count, load, name)

    def _give(self, name: str, slot: int) -> None:
        self._held[name].add(slot)
        self._loads[name] += self._weights[slot]
