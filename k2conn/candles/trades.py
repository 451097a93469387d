"""What of a trade record counts in a candle, read of the record's unscaled form."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, NamedTuple

from k2conn.avro import SchemaField
from k2conn.errors import SettingsError
from k2conn.records import RecordType, load_record, stands

RECORD = "trade"
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])
SIDES: Mapping[str, bool | None] = {"BUY": True, "SELL": False, "SELL_SHORT": False, "UNKNOWN": None}
"""Whether the aggressor bought."""


class Trade(NamedTuple):
    """One trade. ``price`` and ``quantity`` are unscaled, at the scale of this process's trade records."""

    exchange: str
    symbol: str
    time_us: int
    price: int
    quantity: int
    buys: bool | None
    """Whether the aggressor (taker) bought; None where that is not told."""
    message_id: str
    sequence: int | None
    trade_id: str
    received_us: int
    asset_class: str
    currency: str

    @property
    def number(self) -> int | None:
        """By which trades of the same microsecond are in order: the source's sequence number, else the venue's id where
        that is a number; None where neither is.
        """
        if self.sequence is not None:
            return self.sequence
        own = self.trade_id[len(self.exchange) + 1 :]
        return int(own) if own.isdecimal() and own.isascii() and len(own) < 40 else None


class TradeReading:
    """Makes trades of records whose decimals have these scales. SettingsError where these are larger than this
    process's: nothing is rounded.
    """

    def __init__(self, price_scale: int | None = None, quantity_scale: int | None = None) -> None:
        """None: a scale as this process has it."""
        record = trade_record()
        self._price = _factor(record, "price", price_scale)
        self._quantity = _factor(record, "quantity", quantity_scale)
        self._as_is = self._price == self._quantity == 1

    def trade(self, record: Mapping[str, Any]) -> Trade:
        """The trade of one record, as `k2conn.avro.unscaled` reads it. KeyError where it is none."""
        price, quantity = record["price"], record["quantity"]
        if not self._as_is:
            price, quantity = price * self._price, quantity * self._quantity
        return Trade(
            record["exchange"], record["symbol"], record["timestamp"], price, quantity, SIDES[record["side"]],
            record["message_id"], record["source_sequence"], record["trade_id"], record["ingestion_timestamp"],
            record["asset_class"], record["currency"],
        )


def trade_of_plain(record: Mapping[str, Any]) -> Trade:
    """The trade of a record in plain form, with its decimals as text (the console sink's lines). ValueError where it is
    none, or has more places than this process's trades.
    """
    found = dict(record)
    try:
        for name in ("price", "quantity"):
            scale = trade_record().field(name).scale
            number = Decimal(str(record[name])).scaleb(scale, _EXACT)
            found[name] = int(number.to_integral_exact(context=_EXACT))
        trade = TradeReading().trade(found)
    except (ArithmeticError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"no trade record: {error!r}") from None
    kinds = (str, str, int, int, int, object, str, object, str, int, str, str)
    wrong = [name for name, value, kind in zip(Trade._fields, trade, kinds, strict=True) if not isinstance(value, kind)]
    if wrong or not isinstance(trade.sequence, int | None):
        raise ValueError(f"no trade record: {', '.join(wrong) or 'source_sequence'} is of another kind")
    return trade


def trade_record() -> RecordType:
    """The record type whose records are counted."""
    return load_record(RECORD)


def counts(record: Mapping[str, Any]) -> bool:
    """Whether a decoded trade record counts in a candle; corrections of trades and what takes them back do not."""
    return stands(record, trade_record().profile.action)


def common_fields() -> list[SchemaField]:
    """What trades of any revision have, with the names of enums that the latest knows."""
    return [trade_record().field(field.name) for field in load_record(RECORD, 1).schema.fields]


def _factor(record: RecordType, name: str, scale: int | None) -> int:
    own = record.field(name).scale
    if scale is not None and scale > own:
        raise SettingsError(f"its {name} has {scale} decimals, and this process {own}: say K2_DECIMALS=38,18")
    return 1 if scale is None else int(10 ** (own - scale))
