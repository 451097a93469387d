"""cryptofeed with its Kafka backend, run by the Python of its own environment (see `builds`).

    python cryptofeed_run.py WEBSOCKET_URL KAFKA KEY BASE-QUOTE,BASE-QUOTE,...

Its own classes throughout; what is set from outside, and why:

- The symbols, which it would fetch from the exchange over HTTPS: there is no exchange here.
- The address, and `ws` for `wss`: it accepts only `wss` addresses, so the scheme is changed after it has checked them.
  Without TLS it has less to do, as all programs here.
- acks=all and an idempotent producer, for the same promise as the others. No compression and no linger, as is its
  default: its backend awaits every record, so that a batch holds one. A linger of 5 ms more than doubled its CPU
  a trade when tried.
- The event loop: it counts on uvloop to make one when asked for the current one, which uvloop 0.22 and later do not.
- The topics' first word (KEY), by its own parameter, so that each round has topics of its own: KEY-BINANCE-BASE-QUOTE.

It writes JSON, with binary floats for price and amount, as it does by default; no Avro, no registry.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.backends.kafka import TradeKafka
from cryptofeed.connection import WebsocketEndpoint
from cryptofeed.defines import BINANCE, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols


class LoopbackBinance(Binance):
    """Binance at another address, without TLS."""

    def connect(self) -> list[Any]:
        made = super().connect()
        for connection, *_ in made:
            connection.address = connection.address.replace("wss://", "ws://", 1)
        return made


def main(url: str, kafka: str, key: str, pairs: str) -> None:
    """Runs until it is told to stop."""
    names = pairs.split(",")
    Symbols.set(BINANCE, {name: name.replace("-", "") for name in names}, {})
    LoopbackBinance.websocket_endpoints = [WebsocketEndpoint(url.replace("ws://", "wss://", 1))]
    handler = FeedHandler(config={"uvloop": True, "log": {"filename": os.devnull, "level": "WARNING"}})
    asyncio.set_event_loop(asyncio.new_event_loop())  # uvloop's: the handler has just set its policy
    backend = TradeKafka(key=key, bootstrap_servers=kafka, acks="all", enable_idempotence=True)
    handler.add_feed(LoopbackBinance(symbols=names, channels=[TRADES], callbacks={TRADES: backend}, timeout=-1))
    handler.run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
