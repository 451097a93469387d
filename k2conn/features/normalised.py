"""What the features of one candle are, as numbers."""

from __future__ import annotations

from typing import NamedTuple

PLACES = 12
"""Decimals to which features are rounded, half-even: what is behind them is noise of the arithmetic."""


class Normalised(NamedTuple):
    """The features of one candle, in units of 10^-`PLACES`; None for an input that one of the candles does not have."""

    minmax: list[int | None]
    zscore: list[int | None]
    candles: int
    """In the window."""
    missing: int
    """Between the first and the last one of the window."""
