"""A process for a test to kill: it puts trades into a spooled Kafka sink and says how far it is.

    python -m tests.support.spool_child BOOTSTRAP REGISTRY TOPIC FOLDER FIRST COUNT

It says `ready` once open, then lines `PUT SYNCED` (how many were put, how many of these are forced to the disk), and
ends by itself when COUNT were put and all is acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.spool import make_spooled
from tests.support.sinks import Book, trade

SYMBOLS = 7
FSYNC_MS = 100


async def main(bootstrap: str, registry: str, topic: str, folder: str, first: int, count: int) -> None:
    """Put, say, flush."""
    book = Book()
    kafka = KafkaSettings(bootstrap=bootstrap, registry_url=registry, linger_ms=5)
    spool = SpoolSettings(mode="always", folder=Path(folder), fsync_ms=FSYNC_MS, max_bytes=64 << 20)
    sink = make_spooled(SinkSettings(options=kafka, spool=spool), book.settle, book.reject)
    await sink.open()
    print("ready", flush=True)
    for number in range(count):
        sink.put(trade(first + number, topic, symbol=f"S{number % SYMBOLS}"))
        if number % 20 == 0:
            state: Any = sink.status()["spool"]
            print(number + 1, state["synced"], flush=True)
            await asyncio.sleep(0.002)
    while await sink.flush(30):
        pass
    state = sink.status()["spool"]
    while state["records"]:
        await asyncio.sleep(0.05)
        state = sink.status()["spool"]
    await sink.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6])))
