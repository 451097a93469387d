"""In words: what corrects trades or takes them back, and is left out where a trade counts as it was first reported."""

from __future__ import annotations

from collections.abc import Mapping


def amended(left_out: Mapping[str, int]) -> str:
    """By what leaves them out: ``3 corrections of trades left out by candles``."""
    return ", ".join(f"{count} corrections of trades left out by {name}" for name, count in left_out.items())
