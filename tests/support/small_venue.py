"""A venue in a process of its own, for commands that are run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.paths import ROOT

VENUE = """
import asyncio, sys
sys.path.insert(0, %r)
from tests.integration.test_runner import says
from tests.support.plans import trade, trades
from tests.support.venues import Venue

async def main():
    frames = [trades(trade(n, s=sys.argv[1])) for n in range(50)]
    async with Venue(says(*frames)).open() as venue:
        print(venue.port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def small_venue(symbol: str = "BTC-USD") -> Iterator[int]:
    """The port of a venue in a process of its own, which sends fifty trades to each client."""
    command = [sys.executable, "-c", VENUE % str(ROOT), symbol]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
