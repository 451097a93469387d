"""Trades of topics become candles, partition by partition."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.candles.bodies import TradeBodies
from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.output import CandleOutput
from k2conn.candles.replaying import ReplayedCandles
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import trade_record
from k2conn.consumer.decoding import Decoded
from k2conn.consumer.stage import Place
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.sinks.positions import SourcePartition


class TopicCandles:
    """A `Stage`."""

    def __init__(self, settings: CandleSettings, encoder: CandleEncoder) -> None:
        self._settings = settings
        self._output = CandleOutput(encoder)
        self._bodies = TradeBodies()
        self.record = trade_record().name
        self._partitions: dict[SourcePartition, ReplayedCandles] = {}

    @property
    def amendments(self) -> int:
        """See `Stage`."""
        return self._bodies.amendments

    def assigned(self, partition: SourcePartition, start: Place) -> None:
        """See `Stage`."""
        self._partitions[partition] = ReplayedCandles(self._settings, start.offset, start.note)

    def revoked(self, partition: SourcePartition) -> None:
        """See `Stage`."""
        self._partitions.pop(partition, None)

    def take(
        self, partition: SourcePartition, found: Sequence[Decoded], end: int, account: DeliveryAccount
    ) -> list[Envelope]:
        """See `Stage`."""
        self._bodies.waiting += [(one.schema, one.body) for one in found if isinstance(one.body, bytes) and one.schema]
        offsets = [one.message.offset for one in found]
        trades = [(at, trade) for at, trade in zip(offsets, self._bodies.read_all(), strict=True) if trade is not None]
        made = self._partitions[partition].add(trades, end)
        now_us = found[-1].message.timestamp * 1000 if found else 0
        late = [self._output.refused(trade, why, now_us, account) for trade, why in made.refused]
        return [*late, *self._output.candles(made.candles, now_us, account)]

    def rejected(self, envelope: Envelope, reason: str, words: str) -> Envelope:
        """See `Stage`."""
        return self._output.rejected(envelope, reason, words, envelope.timestamp_ms * 1000, envelope.account)

    def place(self, partition: SourcePartition, position: int) -> Place:
        """See `Stage`."""
        return Place(*self._partitions[partition].restart(position))
