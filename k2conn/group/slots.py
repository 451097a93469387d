"""Slots: the parts into which a group divides the symbols of all connectors.

A bundle of symbols that only one process can carry together falls into the slot that the connector's name and the
bundle's smallest symbol hash to: the same in every process, on every machine, in every version. Where a venue bounds
connections, or how often one may connect, a connector spreads over so many slots at most, so that no more members need
connections of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from k2conn.plan import Rate

SLOTS = 64
"""Unless the user says another number."""
MOST_SLOTS = 4096
MINUTE = 60
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A connector's symbols (native names) as bundles. ``most``: how many processes may carry the connector at the same
    time; None where nothing bounds them. ``effort``: how much work a symbol is beside others', as a whole number.
    """

    connector: str
    bundles: tuple[tuple[str, ...], ...]
    most: int | None = None
    effort: int = 1


@dataclass(frozen=True)
class SlotTable:
    """All connectors' symbols by slot."""

    count: int
    bundled: tuple[Bundled, ...]
    state: str = ""
    """How state belongs to slots; "" where it does not."""

    @cached_property
    def _by_slot(self) -> tuple[Mapping[str, tuple[str, ...]], ...]:
        found: list[dict[str, tuple[str, ...]]] = [{} for _ in range(self.count)]
        for one in self.bundled:
            for bundle in one.bundles:
                held = found[slot_of(one.connector, bundle, self.count, one.most)]
                held[one.connector] = (*held.get(one.connector, ()), *bundle)
        return tuple(found)

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """How much work each slot is; 0 where no symbol fell into it."""
        efforts = {one.connector: one.effort for one in self.bundled}
        return tuple(
            sum(efforts[name] * len(symbols) for name, symbols in held.items()) for held in self._by_slot
        )

    def of(self, slot: int) -> Mapping[str, tuple[str, ...]]:
        """A slot's symbols by the connector's name."""
        return self._by_slot[slot]

    def symbols(self, slots: Iterable[int]) -> dict[str, tuple[str, ...]]:
        """The symbols of some slots by the connector's name, in the order in which they were named."""
        wanted: dict[str, set[str]] = {}
        for slot in slots:
            for name, symbols in self._by_slot[slot].items():
                wanted.setdefault(name, set()).update(symbols)
        return {
            one.connector: tuple(name for bundle in one.bundles for name in bundle if name in wanted[one.connector])
            for one in self.bundled if one.connector in wanted
        }

    @property
    def connectors(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted(one.connector for one in self.bundled))

    @cached_property
    def digest(self) -> str:
        """The same for two members that can share slots: their connectors and the number of slots are the same, and
        each connector spreads over as many, and state belongs to slots in the same way.
        """
        said = [str(self.count), *(f"{one.connector}={one.most}" for one in sorted(self.bundled, key=_name))]
        return _digest([*said, *filter(None, (self.state,))])

    @cached_property
    def symbols_digest(self) -> str:
        """The same for two members that name the same symbols."""
        return _digest(f"{one.connector}:{name}" for one in sorted(self.bundled, key=_name)
                       for name in sorted(name for bundle in one.bundles for name in bundle))


def spread(connections: int | None, connect: Rate) -> int:
    """Over how many processes a connector spreads at most: as many as the venue allows connections, and connects of one
    address in a minute, so that all are at work again a minute after an outage.
    """
    a_minute = max(1, int(connect.count * MINUTE // connect.seconds))
    return a_minute if connections is None else max(1, min(connections, a_minute))


def slot_of(connector: str, bundle: Sequence[str], slots: int, most: int | None = None) -> int:
    """The slot of a bundle, of so many. ``most``: over how many of them the connector may spread."""
    number = _hash(f"{connector}\0{min(bundle)}")
    if most is None or most >= slots:
        return number % slots
    return (_hash(connector) + number % max(1, most)) % slots


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _name(one: Bundled) -> str:
    return one.connector
