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
from tests.support.plans import trade, trades
from tests.support.venues import Venue, says

async def main():
    frames = [trades(trade(n, s=sys.argv[1])) for n in range(50)]
    async with Venue(says(*frames)).open() as venue:
        print(venue.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the tests are over

asyncio.run(main())
"""


@contextmanager
def venue_process(program: str, *words: str) -> Iterator[int]:
    """The port that a venue prints, a program with %r for its path. It reads its input and ends with it, so
    that it neither outlives the tests nor ends before they do.
    """
    command = [sys.executable, "-c", program % str(ROOT), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def small_venue(symbol: str = "BTC-USD") -> Iterator[int]:
    """The port of a venue in a process of its own, which sends fifty trades to each client."""
    with venue_process(VENUE, symbol) as port:
        yield port
