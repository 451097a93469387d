"""Whether the records of a program are the trades that were sent: each once, in order, with its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from benchmarks.peers.topics import Wrong
from benchmarks.tapes import FIRST_ID, BinanceTape
from k2conn.avro import load_schema

HEAD = 5
"""Bytes before a record's Avro body: zero and the schema's id."""


class Trade(NamedTuple):
    """What every program's record must say of a trade. ``symbol`` as BTCUSDT, ``side`` as BUY or SELL."""

    symbol: str
    sequence: int
    price: Decimal
    quantity: Decimal
    side: str


def prove(values: Iterator[bytes], read: Callable[[bytes], Trade], frames: int, symbols: int) -> None:
    """Raises Wrong unless these are the trades of the first ``frames`` frames of a Binance tape, each once, those of
    each symbol in order, with their prices, quantities and sides.
    """
    tape = BinanceTape(symbols, 1)
    following = dict.fromkeys(tape.symbols, FIRST_ID)
    count = 0
    for value in values:
        trade = read(value)
        expected = following[trade.symbol]
        if trade.sequence != expected:
            raise Wrong(f"{trade.symbol}: after id {expected - 1} came {trade.sequence}")
        following[trade.symbol] += 1
        sent = _sent(tape, trade)
        if trade != sent:
            raise Wrong(f"sent was {sent}, read back {trade}")
        count += 1
    if count != frames:
        raise Wrong(f"{count:,} records for {frames:,} trades")


def read_avro(value: bytes) -> Trade:
    """A trade record behind Confluent's head, read by fastavro."""
    record = load_schema("trade").decode(value[HEAD:])
    return Trade(record["symbol"], record["source_sequence"], record["price"], record["quantity"], record["side"])


def read_json(value: bytes) -> Trade:
    """A trade as cryptofeed writes it."""
    record = json.loads(value, parse_float=Decimal)
    symbol, price, quantity = record["symbol"].replace("-", ""), Decimal(record["price"]), Decimal(record["amount"])
    return Trade(symbol, int(record["id"]), price, quantity, record["side"].upper())


def _sent(tape: BinanceTape, trade: Trade) -> Trade:
    item = json.loads(tape.frame(tape.place(trade.symbol, trade.sequence)))["data"]
    side = "SELL" if item["m"] else "BUY"  # m: the buyer is the maker
    return Trade(item["s"], item["a"], Decimal(item["p"]), Decimal(item["q"]), side)
