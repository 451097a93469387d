"""The journal: state that is kept where the records go, in order with them, so that the next process knows exactly what
of them is there.

Its entries are envelopes without a schema on a topic of their own, put into the sink like records. What an entry is of
is in its key, a JSON list that begins with its kind. Three kinds are the journal's own; all others belong to whoever
keeps state there::

    ["border", unit]   {"v": 1, "incarnation": ..., "number": ...}   all that was put before it is a transaction's
    ["began", unit]    {"v": 1, "incarnation": ...}                  a process begins; never written
    ["owner", unit]    {"v": 1, "incarnation": ...}                  whose transactions the unit's are, since it began

``unit`` is the transactional id, ``incarnation`` one process of those that have had it one after the other, ``number``
grows by one with each border of an incarnation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.envelope import Envelope

VERSION = 1
JournalEntries = list[tuple[list[Any], Any]]
"""Keys and values that were read back, both decoded."""


class JournalSettings(NamedTuple):
    """Where a journal is and whose; ``every`` is in seconds. ``atomic``: a border ends a transaction, so that records
    and entries are there together or not at all; else an entry is put only once the records it speaks of are durable.
    """

    topic: str
    unit: str
    incarnation: str
    every: float
    atomic: bool


class Border(NamedTuple):
    """Which border it is, of all that a unit has had."""

    incarnation: str
    number: int

    def reached(self, committed: Border | None) -> bool:
        """Whether what ends with this border is committed where ``committed`` is the last one that is."""
        return committed is not None and self.incarnation == committed.incarnation and self.number <= committed.number


def entry(topic: str, key: list[Any], value: Any, now_ms: int) -> Envelope:
    """An entry as an envelope."""
    return Envelope(topic, exactjson.encode(key), exactjson.encode(value), None, now_ms)


def border_key(unit: str) -> list[Any]:
    """The key of a unit's border."""
    return ["border", unit]


def border_value(border: Border) -> dict[str, Any]:
    """A border as its entry says it."""
    return {"v": VERSION, "incarnation": border.incarnation, "number": border.number}


def border_of(value: Any) -> Border:
    """The border that an entry says; ValueError where it says none."""
    try:
        version, found = value["v"], Border(value["incarnation"], value["number"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"a border has not the right form ({type(error).__name__})") from None
    if version != VERSION or type(found.incarnation) is not str or type(found.number) is not int:
        raise ValueError(f"a border has version {version!r:.20}, and this k2conn reads {VERSION}")
    return found


def began_key(unit: str) -> list[Any]:
    """The key of what separates a process from what an earlier one has left."""
    return ["began", unit]


def owner_key(unit: str) -> list[Any]:
    """The key of whose transactions a unit's are."""
    return ["owner", unit]


def owner_value(incarnation: str) -> dict[str, Any]:
    """An owner as its entry says it."""
    return {"v": VERSION, "incarnation": incarnation}


def owner_of(value: Any) -> str:
    """The owner that an entry says; ValueError where it says none."""
    if not isinstance(value, dict) or value.get("v") != VERSION or type(value.get("incarnation")) is not str:
        raise ValueError("an owner has not the right form")
    incarnation: str = value["incarnation"]
    return incarnation
