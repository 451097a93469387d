"""A runner that hands its work over to another process lets go of it before it closes its connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn.errors import Unreachable
from k2conn.runner import Runner
from k2conn.runner import runner as runner_module
from k2conn.runner.connector import Connector
from k2conn.sinks.settings import SinkSettings
from tests.unit.group.test_sharing import job


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


def test_who_cannot_take_over_says_so_although_a_connection_waits_for_room_that_never_comes(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Connector, *given: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runner_module, "RECEIVE_WITHIN", 0.1)
    monkeypatch.setattr(Connector, "run", never)
    monkeypatch.setattr(Connector, "stop", never)
    order: list[str] = []

    class Away(Told):
        async def open(self) -> None:
            raise Unreachable("it is away")

    async def main() -> None:
        turn = asyncio.Event()
        runner = Runner((job(),), SinkSettings(kind="none"), turn=turn,
                        open_sink=lambda *given: Away(order))  # type: ignore[arg-type]
        turn.set()
        async with asyncio.timeout(60):
            await runner.run(asyncio.Event())

    with pytest.raises(Unreachable, match="it is away"):
        asyncio.run(main())
