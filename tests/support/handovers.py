"""How long nobody committed anything of a slot while it went from one process to another: by the state topic itself."""

from __future__ import annotations

import json
from typing import NamedTuple

from tests.support.committed import committed


class HandOver(NamedTuple):
    """One slot that went from one process to another. ``hole``: milliseconds between the last border of the one and
    the first of the other, by the one clock of the machine; ``at``: when the second began, milliseconds since 1970.
    """

    slot: int
    hole: int
    at: int


def handovers(bootstrap: str, topic: str) -> list[HandOver]:
    """All of them, as far as the topic was not compacted yet."""
    last: dict[int, tuple[str, int]] = {}
    found: list[HandOver] = []
    for message in committed(bootstrap, topic):
        slot, (_, at) = message.partition() or 0, message.timestamp()
        if json.loads(message.key() or b"[0]")[0] != "border":
            continue
        incarnation = json.loads(message.value() or b"")["incarnation"]
        if slot in last and last[slot][0] != incarnation:
            found.append(HandOver(slot, at - last[slot][1], at))
        last[slot] = incarnation, at
    return found
