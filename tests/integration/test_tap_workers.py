"""`k2conn tap` on a process with two workers: one tap of both, that outlives a worker and holds up none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from k2conn.cli.board.sources import RemoteBoard
from k2conn.tools.mock.faults import Faults
from tests.integration.test_run import environment
from tests.integration.test_workers import WorkerPool, mocks, published, running_workers, timed
from tests.support import warm_process

BOTH = {"BTCUSDT", "ETHUSDT"}
"""The symbols, one of each worker."""


@asynccontextmanager
async def two_workers(folder: Path, *arguments: object, **variables: str) -> AsyncIterator[WorkerPool]:
    """Binance's two symbols, one for each worker, 40 frames a second."""
    async with mocks(folder, "t", rate=40, faults=Faults(garbage_every=10), keep_generating=True) as (_, addresses):
        more = [folder / "binance.yaml", "--workers", 2, *arguments]
        async with running_workers(folder, *more, **addresses, **variables) as run:
            await run.until(lambda now: now["ready"] and published(now, "binance") > 20)
            yield run


async def command(run: WorkerPool, *words: object, **variables: str) -> tuple[int, list[dict[str, Any]], str]:
    """`k2conn tap`: its exit code, its lines, and what it says besides."""
    process = await begin(run, *words, **variables)
    try:
        async with asyncio.timeout(60):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], said.decode()


async def begin(run: WorkerPool, *words: object, **variables: str) -> asyncio.subprocess.Process:
    return await warm_process.executed(
        "tap", "--at", f"127.0.0.1:{run.port}", "--format", "json", *map(str, words),
        env=environment(**variables), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**22,
    )


def test_one_tap_shows_both_workers_and_what_is_asked_for(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with two_workers(tmp_path) as run:
            code, found, said = await command(run, "binance", "--count", 80)
            assert (code, len(found)) == (0, 80), said
            assert {one["kind"] for one in found} == {"record", "dead"}
            assert {one["worker"] for one in found} == {0, 1}
            assert {one["symbol"] for one in found if one["kind"] == "record"} >= BOTH
            _, found, _ = await command(
                run, "--count", 5, "--streams", "trade", "--symbols", "ETHUSDT", "--where", "record.price != '0'"
            )
            assert len(found) == 5
            assert {(one["kind"], one["stream"], one["symbol"]) for one in found} == {("record", "trade", "ETHUSDT")}
            _, found, _ = await command(run, "--count", 5, "--kinds", "record", "--where", "worker == `1`")
            assert {one["worker"] for one in found} == {1}
            _, found, _ = await command(run, "--count", 20, "--kinds", "received")
            assert {one["worker"] for one in found} == {0, 1}
            assert all(one["text"] for one in found)
            _, found, said = await command(run, "--count", 40, "--rate", 10)
            assert "beyond --rate" in said
            code, _, said = await command(run, "--kinds", "nothing")
            assert code != 0
            assert "there are received, sent" in said

    main()


@pytest.mark.deploy
def test_a_record_of_either_worker_is_traced_to_its_frame(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with two_workers(tmp_path) as run:
            for symbol in sorted(BOTH):
                words = ["--count", 3, "--kinds", "record", "--streams", "trade", "--symbols", symbol, "--trace"]
                code, found, said = await command(run, tmp_path / "binance.yaml", *words)
                assert (code, len(found)) == (0, 3), said
                for one in found:
                    price = next(row for row in one["fields"] if row["field"] == "price")
                    assert price["value"] in one["frame"]["text"]
                    assert json.loads(price["result"]) == one["record"]["price"]

    main()


@pytest.mark.deploy
def test_the_tap_outlives_a_worker(tmp_path: Path) -> None:
    """The other worker's lines go on, and those of the process that takes the place of the one that was killed come
    from its first connection on.
    """

    @timed
    async def main() -> None:
        async with two_workers(tmp_path) as run:
            tapping = await begin(run, "--kinds", "record,opened", "--rate", 1000)
            try:
                assert tapping.stdout is not None
                lines = aiter(tapping.stdout)
                assert json.loads(await anext(lines))["kind"] == "record"
                pid = (await run.state())["workers"][1]["pid"]
                os.kill(pid, signal.SIGKILL)
                opened, other = False, 0
                async with asyncio.timeout(60):
                    async for raw in lines:
                        line = json.loads(raw)
                        other += line["worker"] == 0 and not opened
                        opened = opened or (line["kind"], line["worker"]) == ("opened", 1)
                        if opened and (line["kind"], line["worker"]) == ("record", 1):
                            break
                assert other > 10
                assert tapping.returncode is None
                tapping.send_signal(signal.SIGTERM)
                assert await tapping.wait() == 0
            finally:
                if tapping.returncode is None:
                    tapping.kill()
            assert "Traceback" not in run.text

    main()


@pytest.mark.deploy
def test_listeners_that_stall_hold_up_no_worker(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with two_workers(tmp_path) as run:
            stalled = []
            try:
                for _ in range(4):
                    one = socket.create_connection(("127.0.0.1", run.port))
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    one.sendall(b"GET /tap?rate=10000&kind=received,record HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert await asyncio.to_thread(one.recv, 15) == b"HTTP/1.1 200 OK"
                    stalled.append(one)
                code, _, said = await command(run, "--count", 1)
                assert code != 0
                assert "4 listen already" in said
                before = published(await run.state(), "binance")
                await run.until(lambda now: published(now, "binance") > before + 200)
            finally:
                for one in stalled:
                    one.close()
            for _ in range(50):  # who has left makes room
                code, found, said = await command(run, "--count", 1)
                if code == 0:
                    break
                await asyncio.sleep(0.1)
            assert (code, len(found)) == (0, 1), said

    main()


@pytest.mark.deploy
def test_the_token_is_asked_for_and_the_board_sees_what_passes(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with two_workers(tmp_path, K2_TAP_TOKEN="sesame-1") as run:
            code, _, said = await command(run, "--count", 1)
            assert code != 0
            assert "bearer token is missing or wrong" in said
            code, found, said = await command(run, "--count", 1, K2_TAP_TOKEN="sesame-1")
            assert (code, len(found)) == (0, 1), said
            board = RemoteBoard(f"127.0.0.1:{run.port}", {"K2_TAP_TOKEN": "sesame-1"})
            workers = set()
            async with asyncio.timeout(60), aclosing(board.passing(kind="received", connector="binance")) as lines:
                async for line in lines:
                    workers.add(line.get("worker"))
                    if workers >= {0, 1}:
                        break

    main()
