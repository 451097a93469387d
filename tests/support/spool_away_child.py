"""A process for a test to kill: it puts trades into a spool whose sink is away, and says how far it is.

    python -m tests.support.spool_away_child FOLDER FSYNC_MS

It says lines `PUT SYNCED`: how many were put, and how many of these are forced to the disk.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.sinks import trade
from tests.support.spools import Spool

TOPIC = "market.crypto.trades.x"


async def main(folder: str, fsync_ms: str) -> None:
    """Put and say, until killed."""
    spool = Spool(Path(folder), fsync_ms=int(fsync_ms))
    await spool.sink.open()
    spool.inner.up, spool.inner.bound = False, 100
    number = 0
    while True:
        for _ in range(10):
            spool.sink.put(trade(number, TOPIC))
            number += 1
        assert not spool.sink.crowded
        print(number, spool.status["synced"], flush=True)
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
