"""What a connection's state remembers of single symbols, by name: for a symbol that is asked for anew it begins anew.

Each name but `STATES` is followed by a stream's. They begin with a sign that no captured name has.
"""

from __future__ import annotations

from typing import Any, Protocol

from k2conn.plan import Symbol

FIRST = "$first:"
"""The native names whose first message has come."""
CARRY = "$carry:"
"""By our spelling: the last values of a quote's fields."""
ORDINALS = "$ordinals:"
"""The numbers among equal rows."""

STATES = "$states"
"""Of all streams: the latest states of spans that are not over."""


class _States(Protocol):
    def forget(self, stream: str, symbol: str) -> None: ...


def forget(state: dict[str, Any], stream: str, symbol: Symbol) -> None:
    """Forgets one symbol of one stream: what comes of it next is as on a new connection."""
    state.get(FIRST + stream, set()).discard(symbol.native)
    state.get(CARRY + stream, {}).pop(symbol.record, None)
    states: _States | None = state.get(STATES)
    if states is not None:
        states.forget(stream, symbol.record)
    ordinals = state.get(ORDINALS + stream)
    if ordinals is not None:
        ordinals.forget(f"{symbol.record}|")


def forget_ordinals(state: dict[str, Any]) -> None:
    """Numbers equal rows anew, of all streams and symbols."""
    for name in [name for name in state if name.startswith(ORDINALS)]:
        del state[name]
