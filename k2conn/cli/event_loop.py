"""The event loop of commands that run for long, and the signals that end them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from k2conn.cli.garbage import keep_what_is_there
from k2conn.cli.heap import give_back_large_pieces

Result = TypeVar("Result")


def on_event_loop(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs ``main`` to its end: on uvloop where it is installed and nobody has chosen another loop. It is called once
    there is a loop: where a signal ends the process before, no coroutine is left that was never begun.
    """
    give_back_large_pieces()
    keep_what_is_there()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main())
    if type(asyncio.get_event_loop_policy()) is not asyncio.DefaultEventLoopPolicy:
        return asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(main())


def stop_on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM stops in order, a second SIGINT at once."""

    def interrupted() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


async def until_stopped(work: Callable[[asyncio.Event], Awaitable[Result]]) -> Result:
    """Work that is given the event which those signals set."""
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    return await work(stop)
