"""Tasks that are cancelled have ended, whatever they make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from k2conn.ending_tasks import end_tasks


def ended(*works: Callable[[], Awaitable[Any]], again: float = 0.05) -> list[Any]:
    async def main() -> list[Any]:
        tasks = [asyncio.ensure_future(work()) for work in works]
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            return await end_tasks(*tasks, None, again=again)

    return asyncio.run(main())


async def missed() -> str:
    """One that misses its first cancellation, as libraries do whose result comes in the same moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()
    return "never"


async def done() -> str:
    return "done"


async def failed() -> str:
    raise ValueError("as it is")


def test_what_has_missed_it_is_cancelled_again() -> None:
    (found,) = ended(missed)
    assert isinstance(found, asyncio.CancelledError)


def test_results_and_errors_are_given_back_in_order() -> None:
    first, second, third = ended(done, missed, failed)
    assert (first, type(second), str(third)) == ("done", asyncio.CancelledError, "as it is")


def test_what_is_on_its_way_out_is_not_cut_short() -> None:
    async def leaves() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
        return "never"

    left: list[str] = []

    async def told() -> None:
        try:
            await leaves()
        finally:
            left.append("left")

    ended(told, again=60)
    assert left == ["left"]


def test_nothing_is_ended_at_once() -> None:
    assert ended() == []
