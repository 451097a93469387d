"""A venue that means harm, over a real socket with permessage-deflate: others are served meanwhile, the books stay
exact, and little comes of little.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import pytest
from websockets.asyncio.server import ServerConnection

from tests.support.plans import STREAMS, trade, trades
from tests.support.tries import tried
from tests.support.venues import Run, Venue

LONGEST_WAIT = 0.25
"""Seconds of CPU that anything else of the process may have to wait for. A busy machine adds its own: of several tries
the best one counts."""


def items(text: str, count: int) -> str:
    return '{"ch":"trade","data":[' + ",".join([text] * count) + "]}"


ATTACKS: dict[str, Callable[[], list[str]]] = {
    "one frame of bad items": lambda: [items("0", 200_000)],
    "many frames of bad items": lambda: [items("0", 390)] * 300,
    "one frame of good items": lambda: [trades(*map(trade, range(20_000)))],
    "too many values": lambda: [items("1.5", 1_000_000)] * 3,
    "one long text": lambda: ['"' + "x" * 4_000_000 + '"'] * 3,
    "very many digits": lambda: [trades(trade(1)).replace('"64000.10"', "1." + "1" * 2_000_000)] * 3,
    "very many members": lambda: [trades(trade(1, **{f"k{at}": 1 for at in range(100_000)}))],
    "control characters": lambda: [items('{"s":"' + "\\u0001" * 3000 + '"}', 300)],
    "endless names": lambda: [
        trades(*(trade(n, s=f"S{n}-USD") for n in range(at, at + 400))) for at in range(0, 24_000, 400)
    ],
}


async def slowest(stop: asyncio.Event) -> float:
    """The longest that a task of the same process had to wait."""
    longest = 0.0
    while not stop.is_set():
        began = time.process_time()
        await asyncio.sleep(0.005)
        longest = max(longest, time.process_time() - began)
    return longest


@pytest.fixture
def without_others_garbage() -> None:
    """What other tests left in this process is not gone through while something is timed: it may take a second."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("without_others_garbage")
@pytest.mark.parametrize("kind", ATTACKS)
def test_a_hostile_frame_keeps_nobody_waiting_and_costs_little(kind: str) -> None:
    frames = ATTACKS[kind]()

    async def waited() -> float:
        begin, stop = asyncio.Event(), asyncio.Event()

        async def act(socket: ServerConnection) -> None:
            await socket.send(trades(trade(10**9)))
            await begin.wait()
            for frame in frames:
                await socket.send(frame)
                await asyncio.sleep(0.001)
            await socket.send(trades(trade(10**9 + 1)))
            await socket.wait_closed()

        async with Venue(act).open() as venue, Run(venue.plan(streams=STREAMS)) as run:
            await run.until(lambda: run.ledger.totals()["published"] == 1)
            watching = asyncio.create_task(slowest(stop))
            begin.set()
            await run.until(lambda: b"1000000001" in run.sink.taken[-1].value and not run.sink.waiting, 60)
            stop.set()
            longest = await watching
            totals = run.ledger.totals()
            assert run.ledger.balanced()
            assert totals["received"] == totals["published"] + totals["duplicates"] + totals["dead_letters"]
            assert sum(len(one) for one in map(str, run.sink.dead)) < len(frames) * 1024 * 1024
        return longest

    found = tried(lambda: asyncio.run(waited()), lambda seconds: seconds < LONGEST_WAIT)
    assert found[-1] < LONGEST_WAIT, found
