"""The event loop of commands that run for long."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def on_event_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Runs ``main`` to its end: on uvloop where it is installed."""
    gc.collect()
    gc.freeze()  # what was loaded and compiled stays: the collector need not look at it again
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(main)
