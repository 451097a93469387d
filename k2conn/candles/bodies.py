"""Trades of encoded records on their way to a sink: collected, and read many at a time."""

from __future__ import annotations

from k2conn.avro.picking import FieldPicker
from k2conn.candles.trades import SIDES, Trade, trade_record

AT_ONCE = 256
"""Records that are read together: what one call costs besides is then no part of the whole."""
_NAMES = (
    "exchange", "symbol", "timestamp", "price", "quantity", "side", "message_id", "source_sequence", "trade_id",
    "ingestion_timestamp", "asset_class", "currency",
)
"""As `Trade` has them."""


class TradeBodies:
    """Avro bodies of this process's own trade records, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        """Add to it; when there are `AT_ONCE` of them it is time to read them."""
        self._picker = FieldPicker(Trade, trade_record().schema, _NAMES, {"side": SIDES})

    def read(self) -> list[Trade]:
        """The trades of what waits."""
        waiting, self.waiting = self.waiting, []
        return self._picker.pick(waiting)
