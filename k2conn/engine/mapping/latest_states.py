"""The latest state of each symbol's span, where a venue does not say which state of a span is its last.

There a span is over when the next one opens: frames of one connection come in order, so what came last was the last.
Of what another connection brought nothing is known: it may have ended in the middle of a span. So the states live and
die with their connection, and a span that began on one and ended on the next is missing, if no later state comes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from k2conn.engine.symbol_state import STATES


class Arrival(NamedTuple):
    """One state as it came: the item, its message and frame, and when it came (microseconds since the epoch)."""

    item: Any
    message: Any
    frame: str | bytes
    received_at: int
    snapshot: bool


def take(
    state: dict[str, Any], stream: str, symbol: str, begin_us: int, arrival: Arrival
) -> tuple[bool, Arrival | None]:
    """Takes in a state of the span that begins at ``begin_us``; ``state`` is the connection's. Whether that span is
    over (a later one had begun: the state is late), and the last state of the span that is over because this one
    begins.
    """
    latest: dict[str, tuple[int, Arrival]] = state.setdefault(STATES + stream, {})
    known = latest.get(symbol)
    if known is not None and begin_us < known[0]:
        return True, None
    latest[symbol] = (begin_us, arrival)
    return False, known[1] if known is not None and known[0] < begin_us else None
