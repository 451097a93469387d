"""A runner that hands its work over to another process lets go of it before it closes its connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn.runner import Runner
from k2conn.sinks.settings import SinkSettings


class Told:
    """A sink that says what is done with it."""

    name = "told"
    crowded = False

    def __init__(self, order: list[str], unsent: int = 0) -> None:
        self._order = order
        self._unsent = unsent

    async def open(self) -> None:
        self._order.append("opened")

    async def prepare(self, topics: Any) -> None:
        pass

    def put(self, envelope: object) -> None:
        raise AssertionError("nothing is put here")

    async def flush(self, within: float) -> int:
        self._order.append("flushed")
        return self._unsent

    async def close(self) -> None:
        self._order.append("closed")

    def status(self) -> dict[str, Any]:
        return {"reachable": True, "queued": 0, "errors": 0, "last_error": None}


def ended(monkeypatch: pytest.MonkeyPatch, hand_over: bool) -> list[str]:
    """What happens in which order when a runner is told to stop."""
    order: list[str] = []

    async def stop_receiving(self: Runner, tasks: object) -> None:
        order.append("let go of" if self.released.is_set() else "held")
        order.append("stopped receiving")

    monkeypatch.setattr(Runner, "_stop_receiving", stop_receiving)

    async def main() -> None:
        runner = Runner(
            (), SinkSettings(kind="none"), open_sink=lambda *given: Told(order), standing=True  # type: ignore[arg-type]
        )
        stop = asyncio.Event()
        running = asyncio.create_task(runner.run(stop))
        await runner.opened.wait()
        runner.handing_over = hand_over
        stop.set()
        assert (await running).exit_code == 0

    asyncio.run(main())
    return order


def test_who_hands_over_has_committed_all_before_it_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, True) == ["opened", "flushed", "closed", "let go of", "stopped receiving"]


def test_who_stops_for_good_takes_in_what_comes_until_they_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, False) == ["opened", "held", "stopped receiving", "flushed", "closed"]
