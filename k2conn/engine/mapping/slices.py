"""Long lists are mapped in slices, so that one message, however many items it has, keeps nobody else waiting.

Whoever drives a mapping (see `k2conn.engine.frame_pipeline`) takes a slice at a time, hands on what it gave, and goes
on when there is room and others have had their turn; or gives up, and the rest is counted in one dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

Slices = Generator[None, None, None]
"""Each step maps a slice; `Abandoned`, thrown in, ends it."""

MOST_ITEMS = 50_000
"""Items of one message that are mapped; the rest is one dead letter."""
AT_ONCE = 200
"""Items of a message that are mapped in one go: nearly all messages have fewer."""
_SLICE = 100
_LOOKS = 1_000_000
"""Slices are shorter in very long lists: an expression may look at the whole message for each of its items."""


class Abandoned(Exception):
    """The message takes too long, or its connection ends: nothing more of it is mapped."""


def slices(
    items: Sequence[Any], do: Callable[[Sequence[Any]], None], refuse: Callable[[int, str], None]
) -> Slices:
    """Calls ``do`` for a slice after another. ``refuse`` is told how many items are left out, and why."""
    end = min(len(items), MOST_ITEMS)
    size = max(1, min(_SLICE, _LOOKS // len(items)))
    why = f"a message may have {MOST_ITEMS} items"
    for at in range(0, end, size):
        do(items[at : min(at + size, end)])
        try:
            yield
        except Abandoned as reason:
            end, why = min(at + size, end), str(reason)
            break
    if len(items) > end:
        refuse(len(items) - end, why)
