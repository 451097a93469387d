"""Rounds of looks: one timer for all, one after the other, and who has gone is left out."""

from __future__ import annotations

import asyncio
from typing import Any

from k2conn.runner.look_rounds import LookRounds


def test_all_look_in_each_round_in_turns_of_their_own_and_one_timer_is_enough() -> None:
    async def run() -> None:
        loop, timers, told = asyncio.get_running_loop(), list[float](), list[tuple[int, str]]()
        call_later, turns = loop.call_later, 0

        def counted(delay: float, callback: Any, *rest: Any, **options: Any) -> asyncio.TimerHandle:
            timers.append(delay)
            return call_later(delay, callback, *rest, **options)

        loop.call_later = counted  # type: ignore[method-assign, assignment]
        rounds = LookRounds(0.01)

        async def look(name: str) -> None:
            for _ in range(3):
                await rounds.turn()
                told.append((turns, name))

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        async with asyncio.timeout(60):
            await asyncio.gather(*map(look, "abcd"))
        counting.cancel()
        assert [name for _, name in told] == list("abcd") * 3
        assert len({turn for turn, _ in told}) == len(told), "each has a turn of the loop of its own"
        assert timers.count(0.01) == 3

    asyncio.run(run())


def test_who_has_gone_keeps_nobody_waiting() -> None:
    async def run() -> None:
        rounds = LookRounds(0.01)
        gone = [asyncio.create_task(rounds.turn()) for _ in range(3)]
        stays = asyncio.create_task(rounds.turn())
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        async with asyncio.timeout(60):
            await stays

    asyncio.run(run())
