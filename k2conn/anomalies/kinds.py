"""What can be odd about a record."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class AnomalyKind(StrEnum):
    """The kinds, by the words that records and settings use."""

    PRICE_MOVE = "price-move"
    """A price far from the one before it, for the time between them."""
    SIZE_SPIKE = "size-spike"
    """A trade far larger than those of this symbol are."""
    WIDE_SPREAD = "wide-spread"
    CROSSED_QUOTE = "crossed-quote"
    """The bid is above the ask."""
    LOCKED_QUOTE = "locked-quote"
    """The bid is the ask, which this symbol's seldom are."""
    CLOCK_AHEAD = "clock-ahead"
    """The venue's time is later than the receipt."""
    CLOCK_BEHIND = "clock-behind"
    """The venue's time is much earlier than the receipt, and than this symbol's usually is."""
    OFF_TICK = "off-tick"
    """A price that is no multiple of the listed tick."""
    OFF_LOT = "off-lot"
    """A quantity that is no multiple of the listed lot."""
    HALTED = "halted"
    """A trade in an instrument whose listed status is not one in which it trades."""
    NOT_LISTED = "not-listed"
    """The venue's instrument list does not have the symbol."""


SHARE, QUANTITY, PRICE, SECONDS, NONE = "share", "quantity", "price", "seconds", "none"
UNITS: Mapping[AnomalyKind, str] = MappingProxyType({
    AnomalyKind.PRICE_MOVE: SHARE,
    AnomalyKind.SIZE_SPIKE: QUANTITY,
    AnomalyKind.WIDE_SPREAD: SHARE,
    AnomalyKind.CROSSED_QUOTE: SHARE,
    AnomalyKind.LOCKED_QUOTE: PRICE,
    AnomalyKind.CLOCK_AHEAD: SECONDS,
    AnomalyKind.CLOCK_BEHIND: SECONDS,
    AnomalyKind.OFF_TICK: PRICE,
    AnomalyKind.OFF_LOT: QUANTITY,
    AnomalyKind.HALTED: NONE,
    AnomalyKind.NOT_LISTED: NONE,
})
"""What observed and bound of each kind are in."""


class Oddity(NamedTuple):
    """One thing that is odd about a record. Numbers are unscaled where they are prices or quantities; shares, and
    seconds, are floating-point numbers.
    """

    kind: AnomalyKind
    observed: int | float | None = None
    bound: int | float | None = None
    detail: str | None = None
