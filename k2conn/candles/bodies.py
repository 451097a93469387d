"""Trades of encoded records on their way to a sink: collected, and read many at a time."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from k2conn.avro import RecordSchema
from k2conn.avro.picking import FieldPicker
from k2conn.candles.trades import SIDES, Trade
from k2conn.records import StandingRecords

AT_ONCE = 256
"""Records that are read together: what one call costs besides is then no part of the whole."""
_NAMES = (
    "exchange", "symbol", "timestamp", "price", "quantity", "side", "message_id", "source_sequence", "trade_id",
    "ingestion_timestamp", "asset_class", "currency",
)
"""As `Trade` has them."""


class TradeBodies:
    """Avro bodies of this process's own trade records, in the order in which they came. Corrections of trades and what
    takes them back are left out and counted: a candle counts each trade once, as it was first reported.
    """

    def __init__(self) -> None:
        self.amendments = 0
        """How many were left out so far."""
        self.waiting: list[tuple[RecordSchema, bytes]] = []
        """Add to it; when there are `AT_ONCE` of them it is time to read them."""
        self._known: dict[RecordSchema, tuple[FieldPicker[Trade], StandingRecords]] = {}

    def read(self) -> list[Trade]:
        """The trades of what waits."""
        return [trade for trade in self.read_all() if trade is not None]

    def read_all(self) -> list[Trade | None]:
        """The trades of what waits; None for what is left out."""
        waiting, self.waiting = self.waiting, []
        found: list[Trade | None] = []
        for schema, some in groupby(waiting, key=itemgetter(0)):
            picker, standing = self._known.get(schema) or self._learn(schema)
            bodies = [body for _, body in some]
            trades, stand = picker.pick(bodies), standing.which(bodies)
            self.amendments += stand.count(False)
            found += [trade if own else None for trade, own in zip(trades, stand, strict=True)]
        return found

    def _learn(self, schema: RecordSchema) -> tuple[FieldPicker[Trade], StandingRecords]:
        made = FieldPicker(Trade, schema, _NAMES, {"side": SIDES}), StandingRecords(schema)
        self._known[schema] = made
        return made
