"""The share of a turn of the event loop: what all connections may take of it, and who is next."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from k2conn.runner.loop_share import SMALL, LoopShare


async def turns_of(
    share: LoopShare, name: str, seconds: list[float], told: list[tuple[int, str]], clock: list[int]
) -> None:
    """Someone who has so much work, in such parts."""
    for part in seconds:
        await share.turn()
        told.append((clock[0], name))
        share.spend(part)


async def count(clock: list[int]) -> None:
    """Counts the turns of the loop."""
    while True:
        await asyncio.sleep(0)
        clock[0] += 1


def test_one_goes_on_in_a_turn_of_the_loop_and_all_in_their_order() -> None:
    async def run() -> None:
        share, told, clock = LoopShare(0.05), list[tuple[int, str]](), [0]
        counting = asyncio.create_task(count(clock))
        await asyncio.gather(*(turns_of(share, name, [0.05] * 3, told, clock) for name in "abc"))
        counting.cancel()
        assert [name for _, name in told] == list("abcabcabc")
        at = [turn for turn, _ in told]
        assert all(before < after for before, after in pairwise(at))

    asyncio.run(run())


def test_work_is_added_up_within_a_turn_and_forgotten_after_it() -> None:
    async def run() -> None:
        share = LoopShare(0.05)
        share.spend(0.03)
        assert not share.used_up
        share.spend(0.03)
        assert share.used_up
        await asyncio.sleep(0)
        assert not share.used_up

    asyncio.run(run())


def test_small_reads_are_not_added_up() -> None:
    async def run() -> None:
        share = LoopShare(0.05)
        for _ in range(1000):
            share.spend(SMALL / 2)
        assert not share.used_up

    asyncio.run(run())


def test_nobody_overtakes_who_waits() -> None:
    async def run() -> None:
        share = LoopShare(0.05)
        waiting = asyncio.create_task(share.turn())
        await asyncio.sleep(0)
        assert share.used_up
        await waiting
        assert not share.used_up

    asyncio.run(run())


def test_who_gives_up_keeps_nobody_waiting() -> None:
    async def run() -> None:
        share = LoopShare(0.05)
        first, second = asyncio.create_task(share.turn()), asyncio.create_task(share.turn())
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(5):
            await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not share.used_up

    asyncio.run(run())
