"""Features of all series: closed candles in, records out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.features.envelopes import TOPIC, FeatureEncoder
from k2conn.features.inputs import CandleInputs
from k2conn.features.settings import FeatureSettings
from k2conn.features.window import Window

MOST_SERIES = 20_000
"""Symbols and intervals that have a window."""


@dataclass(slots=True)
class FeatureCounts:
    """What became of the candles."""

    made: int = 0
    """Features that were made of them."""
    warming: int = 0
    """Candles before which there were too few."""
    late: int = 0
    """Candles older than all that is kept of their series."""
    unknown: int = 0
    """Candles of more series than there may be."""


class FeatureMaker:
    """Windows for every symbol and interval. A candle that comes late, or comes again with other values, takes its
    place in its window; the features of candles after it that were made already stay as they are: they say what was
    known then.
    """

    def __init__(self, settings: FeatureSettings, topic: str = TOPIC) -> None:
        self.settings = settings
        self.counts = FeatureCounts()
        self.inputs = CandleInputs()
        self.encoder = FeatureEncoder(settings, topic)
        self._windows: dict[tuple[str, str, str], Window] = {}

    def features(
        self, candle: Mapping[str, Any], stream: str, spread_bps: float, account: DeliveryAccount | None = None
    ) -> Envelope | None:
        """The record of a closed candle's features, or None where there are none. ``candle`` is in unscaled form, of
        an interval that the settings name; ``stream`` is where it is from; ``spread_bps`` the spread that was quoted.
        """
        key = candle["exchange"], candle["symbol"], candle["interval"]
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MOST_SERIES:
                self.counts.unknown += 1
                return None
            window = self._windows[key] = Window(self.settings.intervals[key[2]], self.settings.window)
        at = window.put(candle["open_time"], self.inputs.row(candle, spread_bps))
        if at is None:
            self.counts.late += 1
            return None
        if at + 1 < self.settings.first:
            self.counts.warming += 1
            return None
        self.counts.made += 1
        return self.encoder.envelope(candle, stream, window.normalised(at), account)

    @property
    def warmed_up(self) -> bool:
        """Whether every series has a whole window; False before there is one."""
        return bool(self._windows) and all(window.full for window in self._windows.values())
