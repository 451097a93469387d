"""How long nobody commits anything of a slot that moves as planned: members join a group one after the other, and an
independent reader of committed records takes the time between the last state that the old owner of a slot committed
and the first of the new one, when they come to it.

Example:

    python -m benchmarks.moves --brokers 2 --members 5 --rate 500
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.cluster import cluster
from benchmarks.figures import percentile
from k2conn.cli.certify_group import PROGRAM
from k2conn.settings import sink_settings
from k2conn.tools.certify.committed_books import CommittedBooks
from k2conn.tools.certify.exactly_once import GAPS, STATE, TRADES, ProofSettings, tested_members, venue

REST = 4.0
"""Seconds without a slot that moves after which the next member comes."""
WITHIN = 90.0


async def moved(given: ProofSettings) -> CommittedBooks:
    """What the reader found while all members came."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(venue(given))
        books = CommittedBooks(given.kafka, TRADES, GAPS, STATE)
        stop = asyncio.Event()
        reading = asyncio.create_task(books.read(stop))
        members = await tested_members(given, place.port)
        for number, member in enumerate(members):
            stack.push_async_callback(member.close)
            await member.start()
            await _until(lambda: len(books.symbols) == given.symbols, reading)
            if number:
                await _at_rest(books, reading)
        await asyncio.gather(*(one.stop() for one in members))
        stop.set()
        await reading
    return books


async def _until(condition: Any, reading: asyncio.Task[None]) -> None:
    end = time.monotonic() + WITHIN
    while not condition():
        if reading.done():
            reading.result()
        assert time.monotonic() < end, "the group did not get there"
        await asyncio.sleep(0.05)


async def _at_rest(books: CommittedBooks, reading: asyncio.Task[None]) -> None:
    """Until slots have moved, and then none for a while."""
    before, since = len(books.handovers), time.monotonic()
    first = before

    def rests() -> bool:
        nonlocal before, since
        if len(books.handovers) > before:
            before, since = len(books.handovers), time.monotonic()
        return before > first and time.monotonic() > since + REST

    await _until(rests, reading)


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run on brokers of its own."""
    with cluster(folder, arguments.brokers) as servers:
        variables = {
            **servers.variables(), "K2_KAFKA_COMMIT_MS": str(arguments.commit_ms), "K2_LOG_LEVEL": arguments.log_level,
        }
        kafka = sink_settings(variables, kind="kafka", kafka=servers.bootstrap,
                              registry=servers.registry.url).options
        given = ProofSettings(
            kafka, variables, PROGRAM, folder / "members", arguments.members, arguments.symbols, arguments.rate,
            arguments.slots,
        )
        books = asyncio.run(moved(given))
    holes = sorted(one.seen_ms for one in books.handovers)
    return {
        "brokers": arguments.brokers, "members": arguments.members, "slots": arguments.slots,
        "trades_per_second": arguments.rate, "commit_ms": arguments.commit_ms, "moves": len(holes),
        "hole_ms": {f"p{rank:g}": round(percentile(holes, rank)) for rank in (0.0, 50.0, 99.0, 100.0)} if holes else {},
        "holes_ms": [round(one) for one in holes],
        "twice": sum(len(one.twice) for one in books.symbols.values()),
        "missing": sum(len(one.missing()) for one in books.symbols.values()),
    }


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--symbols", type=int, default=24)
    parser.add_argument("--slots", type=int, default=12)
    parser.add_argument("--rate", type=float, default=500.0, help="trades a second, of all symbols together")
    parser.add_argument("--commit-ms", type=int, default=500)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        (folder / "members").mkdir(parents=True, exist_ok=True)
        print(json.dumps(measured(arguments, folder)))


if __name__ == "__main__":
    main()
