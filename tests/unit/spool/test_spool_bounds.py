"""What the spool's bounds mean: how much a kill -9 takes, how much a power cut would, and what fills it for all."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.sinks import trade
from tests.support.spool_away_child import TOPIC
from tests.support.spools import Spool, opened, run
from tests.support.tries import tried

SLACK = 0.3
"""Seconds that a disk and a crowded machine may take on top of a bound."""
WRITTEN = 0.01
"""Seconds until an entry is the operating system's; then a kill cannot take it."""


def lived(folder: Path, fsync_ms: int) -> tuple[list[tuple[float, int, int]], float]:
    """One life of the child: what it said and when we heard it, and when it was killed (monotonic)."""
    command = [sys.executable, "-m", "tests.support.spool_away_child", str(folder), str(fsync_ms)]
    said: list[tuple[float, int, int]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:

        def hear() -> None:
            assert child.stdout is not None
            for line in child.stdout:
                if line.endswith("\n"):
                    put, synced = map(int, line.split())
                    said.append((time.monotonic(), put, synced))

        hearing = threading.Thread(target=hear)
        hearing.start()
        end = time.monotonic() + 60
        while not said or said[-1][2] == 0:
            assert time.monotonic() < end
            assert child.poll() is None
            time.sleep(0.01)
        time.sleep(2 * fsync_ms / 1000 + SLACK + random.uniform(0.1, 0.4))
        killed = time.monotonic()
        child.kill()
        child.wait(60)
        hearing.join()
    return said, killed


@pytest.mark.parametrize("fsync_ms", [50, 1000])
def test_a_kill_takes_what_was_not_written_and_a_power_cut_what_was_not_forced(tmp_path: Path, fsync_ms: int) -> None:
    """With an fsync interval of a second, a kill still takes a few records only."""
    lives = 0

    def late() -> float:
        """How many records came later than their bound to the operating system, or to the disk."""
        nonlocal lives
        lives += 1
        folder = tmp_path / f"{lives}"
        folder.mkdir()
        said, killed = lived(folder, fsync_ms)
        kept: list[int] = []

        async def work() -> None:
            async with opened(Spool(folder)) as spool:
                await spool.until(lambda: len(spool.book.settled) == spool.status["recovered"])
                kept.extend(spool.numbers)

        run(work)
        assert kept == list(range(len(kept)))  # only the end is missing
        synced = max(synced for _, _, synced in said)
        assert synced <= len(kept)
        written = max(put for moment, put, _ in said if moment <= killed - WRITTEN - SLACK)
        forced = max(put for moment, put, _ in said if moment <= killed - fsync_ms / 1000 - SLACK)
        return max(0, written - len(kept), forced - synced)

    found = tried(late, lambda records: not records)
    assert found[-1] == 0, found


def test_a_topic_that_stays_dead_fills_the_spool_for_all(tmp_path: Path) -> None:
    """Then every socket waits, those of healthy topics too; nothing is lost, and all go on when the topic is back."""
    healthy = "market.crypto.trades.healthy"

    async def work() -> None:
        async with opened(Spool(tmp_path, max_bytes=1 << 20)) as spool:
            spool.inner.trouble = {TOPIC: "no such topic"}
            number = 0
            while not spool.sink.crowded:  # as the runner asks after each frame
                spool.sink.put(trade(number, TOPIC, vendor_data={"raw": "x" * 1000}))
                spool.sink.put(trade(number + 1, healthy))
                number += 2
                if number % 20 == 0:
                    await asyncio.sleep(0.005)
            await spool.until(lambda: len(spool.book.settled) == number // 2)  # the healthy ones are through
            assert spool.status["full"]
            assert spool.status["parked"] == [TOPIC]
            waiting = asyncio.create_task(spool.sink.drain())
            await asyncio.sleep(0.5)
            assert not waiting.done()
            spool.inner.trouble = {}
            spool.inner.send()
            await asyncio.wait_for(waiting, 60)
            await spool.until(lambda: len(spool.book.settled) == number)
            assert sorted(spool.numbers) == list(range(number))

    run(work)
