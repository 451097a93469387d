"""A bug inside one connector stops that one, which is started again; the others go on, and nothing of it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import k2conn.runner.crashes as timing
from k2conn import exactjson, native
from k2conn.compat.structlog import structlog
from k2conn.engine.conversation.session import Session
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.monitoring.metrics import exposition
from k2conn.monitoring.process_status import process_status
from k2conn.plan import Backoff
from k2conn.runner import Overrides
from k2conn.runner.connection import VenueConnection
from k2conn.runner.connector import Connector
from k2conn.runner.event_log import configure
from tests.integration.test_runner import ids, says
from tests.support.plans import intake_of, trade, trades
from tests.support.venues import CONNECTION, MemorySink, Run, Venue

BUG = "what a bug"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short delays, and a log as a process has it: what structlog draws by itself takes long."""
    monkeypatch.setattr(timing, "AGAIN", Backoff(base=0.1, cap=0.3))
    configure("warning", as_json=True)
    yield
    structlog.reset_defaults()


def broken_in(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, when: Callable[..., bool]) -> None:
    """From now on a method has a bug where ``when`` says so of its arguments."""
    own = getattr(owner, name)

    def broken(self: Any, *arguments: Any) -> Any:
        if when(self, *arguments):
            raise ZeroDivisionError(BUG)
        return own(self, *arguments)

    monkeypatch.setattr(owner, name, broken)


def of(run: Run, name: str) -> Connector:
    return next(one for one in run.runner.connectors if one.plan.name == name)


def two(bad: Venue, good: Venue, **options: Any) -> Run:
    return Run(bad.plan("bad"), good.plan("good"), **options)


def test_a_bug_in_a_connector_stops_only_that_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_in(monkeypatch, StreamMapping, "take", lambda self, *_: self.plan.name == "bad")

    async def main() -> None:
        async with (
            Venue(says(trades(trade(1)))).open() as bad, Venue(says(trades(trade(1)))).open() as good,
            two(bad, good) as run,
        ):
            ledger = of(run, "bad").connector_state.ledger
            await run.until(lambda: ledger.crashes >= 3)
            assert bad.connects >= 3
            assert good.connects == 1
            assert of(run, "good").state == "live"
            await run.until(lambda: of(run, "bad").trouble)
            status = process_status(run.runner)
            one = status["connectors"]["bad"]
            assert (one["state"], one["detail"]) == ("failed", "ended by a bug (ZeroDivisionError), see the log")
            assert one["crashes"] >= 3
            assert status["status"] == "degraded"
            assert "bad: ended by a bug (ZeroDivisionError), see the log" in status["waiting_for"]
            metrics = exposition(run.runner).decode()
            assert 'k2conn_crashes_total{connector="bad",exchange="VENUE"}' in metrics
            assert 'k2conn_crashes_total{connector="good",exchange="VENUE"} 0.0' in metrics
            outcome = await run.end()
            assert (outcome.exit_code, outcome.unsent) == (70, 0)
            assert outcome.crashes == ledger.crashes
            # What met the bug is kept, and the books of both are balanced.
            assert {one["reason"] for one in run.sink.dead} == {"bug"}
            assert ledger.totals()["in_flight"] == 0
            assert run.runner.report()["connectors"]["bad"]["crashes"] == ledger.crashes

    asyncio.run(main())
    out, err = capsys.readouterr()
    assert "Traceback" in out + err
    assert BUG in out + err


def test_the_delay_grows_from_crash_to_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "AGAIN", Backoff(base=2.0, cap=300.0))
    crashes = timing.Crashes()
    connector = Run(Venue().plan(connection=CONNECTION % 1)).runner.connectors[0]
    delays = [crashes.note(connector, ZeroDivisionError(BUG), 1.0) for _ in range(12)]
    assert all(2.0**n * 0.999 <= one <= 2.0 ** (n + 1) for n, one in enumerate(delays[:7]))
    assert all(150 <= one <= 300 for one in delays[9:])
    assert crashes.note(connector, ZeroDivisionError(BUG), timing.GOOD_LIFE) <= 2.0


def test_what_met_a_bug_is_kept_and_nothing_beside_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "FrameMapper", None)  # or no message would be taken there
    broken_in(monkeypatch, StreamMapping, "take", lambda self, message, *_: message["data"][0]["i"] == 2)
    frames = [trades(trade(number)) for number in (1, 2, 3)]

    pipeline = intake_of(Venue().plan(connection=CONNECTION % 1))
    with pytest.raises(ZeroDivisionError):
        pipeline.receive(frames, 0.0, 1_800_000_000_000_000)
    assert [one.schema is None for one in pipeline.rescued] == [False, True, False]

    async def main() -> None:
        async with Venue(says(*frames[:2]), says(frames[0], frames[2])).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: "VENUE-3" in ids(run.sink))
            assert ids(run.sink) == ["VENUE-1", "VENUE-3"]
            assert [one["frame"] for one in run.sink.dead] == [frames[1]]
            assert run.ledger.totals()["duplicates"] == 1
            assert (await run.end()).exit_code == 70

    asyncio.run(main())


@pytest.mark.parametrize(("owner", "method"), [
    (Session, "timer"), (Session, "open"), (Session, "url"), (VenueConnection, "_note"), (FramePipeline, "silent_at"),
])
def test_wherever_the_bug_is(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    """The timer, what is done on opening, what is built before, what is noted, what the look for silence asks."""
    left = [3]

    def when(*_: Any) -> bool:
        left[0] -= 1
        return left[0] >= 0

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue:
            run = Run(venue.plan(), overrides=Overrides(stale_after=0.3))
            broken_in(monkeypatch, owner, method, when)
            async with run:
                await run.until(lambda: run.ledger.crashes and left[0] < 0 and ids(run.sink))
                assert (await run.end()).exit_code == 70

    asyncio.run(main())


def test_a_bug_in_a_callback_is_its_connectors(monkeypatch: pytest.MonkeyPatch) -> None:
    def proved(self: Any) -> None:
        self.data = True
        if self._context.connector_state.plan.name == "bad":
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)

    monkeypatch.setattr(VenueConnection, "_proved", proved)

    async def main() -> None:
        async with (
            Venue(says(trades(trade(1)))).open() as bad, Venue(says(trades(trade(1)))).open() as good,
            two(bad, good) as run,
        ):
            await run.until(lambda: of(run, "bad").connector_state.ledger.crashes > 1)
            assert of(run, "good").connector_state.ledger.crashes == 0
            assert good.connects == 1
            assert (await run.end()).exit_code == 70

    asyncio.run(main())


def test_a_bug_at_the_very_end_is_counted_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_in(monkeypatch, Session, "retire", lambda *_: True)

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            began = asyncio.get_running_loop().time()
            assert (await run.end()).exit_code == 70
            assert asyncio.get_running_loop().time() < began + 4
            assert run.sink.steps[-1] == "close"

    asyncio.run(main())


class ShamLibrary(MemorySink):
    """A sink whose client library fails in a callback of its own."""

    def put(self, envelope: Any) -> None:
        super().put(envelope)
        scope: dict[str, Any] = {"__name__": "aiokafka.sham"}
        exec("def callback(): raise KeyError('gone')", scope)  # code that is none of ours
        asyncio.get_running_loop().call_soon(scope["callback"])


def test_a_slip_of_a_library_in_a_callback_ends_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan(), sink=ShamLibrary) as run:
            await run.until(lambda: run.sink.taken)
            await asyncio.sleep(0.05)
            assert (await run.end()).exit_code == 0

    asyncio.run(main())
    assert "a library failed in a callback" in "".join(capsys.readouterr())


# -- what a venue says


@pytest.mark.parametrize("depth", [399, 401, 950, 985, 999, 5000])
@pytest.mark.parametrize("place", ["message", "price", "beside"])
def test_a_frame_that_is_nested_too_deeply_is_a_dead_letter(depth: int, place: str) -> None:
    nest = "[" * depth + "]" * depth
    frame = nest
    if place != "message":
        odd = trades(trade(7))
        frame = odd.replace('"i":7', f'"i":7,"z":{nest}') if place == "beside" else odd.replace('"i":7', f'"i":{nest}')

    async def main() -> None:
        acts = says(trades(trade(1)), frame, trades(trade(2)))
        async with Venue(acts).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: "VENUE-2" in ids(run.sink))
            if depth > exactjson.MAX_DEPTH:
                assert [one["detail"] for one in run.sink.dead] == ["nested too deeply"]
            assert (await run.end()).exit_code == 0

    asyncio.run(main())
