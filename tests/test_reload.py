"""Reload: the new plan beside the old one, and a bad edit that changes nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

import k2conn.runner.reload as timing
from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.runner import Job
from k2conn.runner.reload import Reloader
from tests.plans import HEAD, STREAMS, trade, trades
from tests.test_runner import ids, says
from tests.venues import CONNECTION, Run, Venue


def reloader(run: Run, *jobs: Job) -> Reloader:
    return Reloader(run.runner, lambda: jobs)


def test_the_new_plan_takes_over_and_the_books_go_on() -> None:
    async def main() -> None:
        acts = says(trades(trade(1), trade(2))), says(trades(trade(2), trade(3)))
        async with Venue(*acts).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: len(run.sink.taken) == 2)
            old = run.runner.connectors[0]
            assert await reloader(run, Job(venue.plan(), ("BTC-USD",), ("trade",))).reload()
            new = run.runner.connectors[0]
            assert new is not old
            assert (old.state, new.state) == ("stopped", "live")
            await run.until(lambda: len(run.sink.taken) == 3)
            assert ids(run.sink) == ["VENUE-1", "VENUE-2", "VENUE-3"]
            assert [said.get("symbols") for said in venue.heard] == [["BTC-USD", "ETH-USD"], ["BTC-USD"],
                                                                     ["BTC-USD", "ETH-USD"]]
            assert run.ledger.totals()["duplicates"] == 1
            assert run.ledger.totals()["published"] == 3
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_what_has_not_changed_is_left_alone() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            old = run.runner.connectors[0]
            old.job = replace(old.job, digest="x")
            assert await reloader(run, replace(old.job)).reload()
            assert await reloader(run, Job(venue.plan("another"))).reload(), "it needs a restart, which is said"
            assert run.runner.connectors == (old,)
            assert venue.connects == 1

    asyncio.run(main())


def test_a_bad_edit_leaves_the_old_plan_running() -> None:
    def broken() -> Sequence[Job]:
        raise SettingsError("no such thing")

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            old = run.runner.connectors[0]
            assert not await Reloader(run.runner, broken).reload()
            assert not await reloader(run, Job(venue.plan(), ("NO/SUCH",), ("trade",))).reload()
            assert run.runner.connectors == (old,)
            assert old.state == "live"

    asyncio.run(main())


def test_a_plan_that_does_not_prove_itself_leaves_the_old_one_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PROVE_WITHIN", 0.4)

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            assert not await reloader(run, Job(venue.plan(connection=CONNECTION % 1), streams=("trade",))).reload()
            assert [one.state for one in run.runner.connectors] == ["live"]
            assert venue.connects == 1
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_where_the_venue_allows_one_connection_the_old_one_goes_first() -> None:
    sockets: list[int] = []
    most: list[int] = []

    async def act(socket: ServerConnection) -> None:
        sockets.append(1)
        most.append(len(sockets))
        await socket.send(trades(trade(len(most))))
        await socket.wait_closed()
        sockets.pop()

    async def main() -> None:
        connection = CONNECTION + "  limits: {connections: 1}\n"
        async with Venue(act).open() as venue, Run(venue.plan(connection=connection)) as run:
            await run.until(lambda: run.sink.taken)
            assert await reloader(run, Job(venue.plan(connection=connection), streams=("trade",))).reload()
            await run.until(lambda: len(run.sink.taken) == 2)
            assert most == [1, 1]

    asyncio.run(main())


def test_stopping_amid_a_reload_stops_everything() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            job = Job(venue.plan(connection=CONNECTION % 1), streams=("trade",))
            reloading = asyncio.create_task(reloader(run, job).reload())
            await asyncio.sleep(0.2)
            assert (await run.end()).exit_code == 0
            assert not await reloading

    asyncio.run(main())


@pytest.mark.parametrize("way", ["signal", "watch"])
def test_a_running_process_reads_its_file_again(tmp_path: Path, way: str) -> None:
    async def act(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))

    async def main() -> None:
        async with Venue(act).open() as venue:
            file = tmp_path / "venue.yaml"
            text = HEAD + CONNECTION % venue.port + STREAMS
            file.write_text(text)
            process = await started(file, tmp_path, *(["--watch"] if way == "watch" else []))
            try:
                await heard(venue, 1)
                port = await told(process, r"127\.0\.0\.1:(\d+)/metrics")
                rewrite(process, file, text.replace("each: data", "eahc: data"), way)
                await told(process, "(the old plan goes on)")
                assert len(subscribes(venue)) == 1
                rewrite(process, file, text.replace("[BTC-USD, ETH-USD]", "[ETH-USD]"), way)
                await told(process, "(the new plan runs)")
                assert subscribes(venue)[-1] == ["ETH-USD"]
                status = await asyncio.to_thread(
                    subprocess.run, [sys.executable, "-m", "k2conn", "status", "--port", port, "--format", "json"],
                    capture_output=True, check=False,
                )
                assert status.returncode == 0, status.stderr
                state = exactjson.decode(status.stdout)
                assert state["connectors"]["venue"]["sockets"][0]["symbols"] == 1
            finally:
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 10) == 0

    asyncio.run(main())


async def started(file: Path, folder: Path, *flags: str) -> Any:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "k2conn", "run", str(file), "--sink", "file", "--folder", str(folder / "data"),
        "--streams", "trade", "--port", "0", *flags, stderr=asyncio.subprocess.PIPE, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NO_COLOR": "1"},
    )


def rewrite(process: Any, file: Path, text: str, way: str) -> None:
    file.write_text(text)
    if way == "signal":
        process.send_signal(signal.SIGHUP)


async def told(process: Any, pattern: str) -> str:
    """Reads what the process says until it says this."""
    async with asyncio.timeout(15):
        while line := (await process.stderr.readline()).decode():
            if found := re.search(pattern, line):
                return found.group(1)
    raise AssertionError(f"it never said {pattern}")


def subscribes(venue: Venue) -> list[Any]:
    return [said["symbols"] for said in venue.heard if said["op"] == "sub"]


async def heard(venue: Venue, count: int) -> None:
    async with asyncio.timeout(15):
        while len(subscribes(venue)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
