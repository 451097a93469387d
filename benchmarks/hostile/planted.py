"""`k2conn` with a fault planted into it, to see that the soak finds it.

    python -m benchmarks.hostile.planted FAULTS run ...


``leak`` writes a key into the log, ``growth`` takes memory and keeps it, ``slow`` lets `/health` wait, ``busy`` works
meanwhile, ``deaf`` lets nobody ask, ``loss`` forgets records of the file sink that it has said are written.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from benchmarks.hostile.secrets import KEY

_kept: list[bytes] = []


def _leak() -> None:
    time.sleep(2)
    print(json.dumps({"event": "odd", "detail": f"GET /?key={KEY}"}), file=sys.stderr, flush=True)


def _grow() -> None:
    while len(_kept) < 60:
        time.sleep(0.1)
        _kept.append(b"\1" * (5 << 20))


def _slow() -> None:
    _before_answers(lambda: asyncio.sleep(0.8))


def _busy() -> None:
    async def work() -> None:
        end = time.thread_time() + 0.8
        while time.thread_time() < end:
            pass

    _before_answers(work)


def _deaf() -> None:
    async def leave() -> None:
        raise ConnectionResetError

    _before_answers(leave)


def _before_answers(first: Callable[[], Awaitable[None]]) -> None:
    from k2conn.monitoring.health import HealthServer

    answer = HealthServer._answer

    async def late(self: HealthServer, target: str) -> tuple[int, str, bytes]:
        await first()
        return await answer(self, target)

    HealthServer._answer = late  # type: ignore[method-assign]  # that is what is planted


def _lose() -> None:
    from k2conn.avro.container import ContainerWriter

    append, lose = ContainerWriter.append_all, itertools.cycle([False] * 49 + [True])

    def forgetful(self: Any, bodies: Sequence[bytes]) -> Iterator[int]:
        return append(self, [body for body in bodies if not next(lose)])

    ContainerWriter.append_all = forgetful  # type: ignore[method-assign]  # that is what is planted


def main() -> None:
    """Plants what is named, then is `k2conn`."""
    faults, sys.argv[1:] = sys.argv[1].split(","), sys.argv[2:]
    for fault, plant in {"slow": _slow, "busy": _busy, "deaf": _deaf, "loss": _lose}.items():
        if fault in faults:
            plant()
    for fault, act in {"leak": _leak, "growth": _grow}.items():
        if fault in faults:
            threading.Thread(target=act, daemon=True).start()
    from k2conn.cli import main as k2conn

    k2conn()


if __name__ == "__main__":
    main()
