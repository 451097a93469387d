"""The spool touches only its own files, in folders that nobody else may write to; and a full disk ends with room."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from k2conn.engine.accounting.ledger import Account
from k2conn.errors import Unreachable
from tests.support.sinks import trade
from tests.support.spools import Spool, opened, run

TOPIC = "market.crypto.trades.x"


def used(folder: Path, mode: str = "always") -> None:
    """A short life with records that go out."""

    async def work() -> None:
        async with opened(Spool(folder, mode=mode, fsync_ms=10)) as spool:
            for number in range(20):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            await spool.until(lambda: not spool.status["records"])

    run(work)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("mode", ["always", "trouble"])
def test_what_is_not_ours_stays(tmp_path: Path, mode: str) -> None:
    others = (
        "0/photos/a.jpg", "0/notes.txt", "0/main/mine.txt", "0/main/x.spool", "0/topics/y/z", "0/topics/%2e%2e/1.spool",
    )
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    used(tmp_path, mode)
    assert all((tmp_path / name).read_text() == name for name in others)


def test_a_part_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    spool, victim = tmp_path / "spool", tmp_path / "victim"
    (victim / "main").mkdir(parents=True)
    (victim / "main" / "000000000001.spool").write_text("precious")
    spool.mkdir()
    (spool / "0").symlink_to(victim)
    (spool / "1").symlink_to(tmp_path / "nothing")
    (spool / "2").mkdir()
    (spool / "2" / "main").symlink_to(victim / "main")
    (spool / "3").mkdir()
    (spool / "3" / "lock").symlink_to(victim / "main" / "000000000001.spool")
    (spool / "4" / "topics").mkdir(parents=True)
    (spool / "4" / "topics" / "x").symlink_to(victim / "main")
    used(spool)
    assert tree(victim) == {"main", "main/000000000001.spool"}
    assert (victim / "main" / "000000000001.spool").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()
    assert (spool / "0").is_symlink()
    assert (spool / "4" / "topics" / "x").is_symlink()


@pytest.mark.parametrize("name", ["mark", "000000000001.spool"])
@pytest.mark.parametrize("hard", [False, True])
def test_a_file_elsewhere_is_neither_written_nor_cut(tmp_path: Path, name: str, hard: bool) -> None:
    main, victim = tmp_path / "spool" / "0" / "main", tmp_path / "victim"
    main.mkdir(parents=True)
    text = b"K2SPOOL1" + b"a file of somebody else" * 9
    victim.write_bytes(text)
    (main / name).hardlink_to(victim) if hard else (main / name).symlink_to(victim)
    used(tmp_path / "spool")
    assert victim.read_bytes() == text
    assert os.path.lexists(main / f"{name}.unusable")


def test_a_longer_file_with_the_marks_name_is_set_aside(tmp_path: Path) -> None:
    main = tmp_path / "0" / "main"
    main.mkdir(parents=True)
    (main / "mark").write_text("not a mark, but a text of mine")
    used(tmp_path)
    assert (main / "mark.unusable").read_text() == "not a mark, but a text of mine"


def test_others_cannot_read_the_spool(tmp_path: Path) -> None:
    (tmp_path / "spool" / "0").mkdir(parents=True, mode=0o755)

    async def work() -> None:
        async with opened(Spool(tmp_path / "spool", mode="always", fsync_ms=10)) as spool:
            spool.inner.up = False
            spool.sink.put(trade(1, TOPIC))
            await spool.until(lambda: spool.status["synced"] == 1)
            spool.inner.trouble = {TOPIC: "gone"}
            spool.inner.up = True
            await spool.until(lambda: bool(spool.status["parked"]))
            await asyncio.sleep(0.3)
            for path in (tmp_path / "spool").rglob("*"):
                mode = stat.S_IMODE(path.stat().st_mode)
                assert mode == (0o700 if path.is_dir() else 0o600), path

    before = os.umask(0)
    try:
        run(work)
    finally:
        os.umask(before)


def refused(folder: Path, reason: str) -> None:
    async def work() -> None:
        with pytest.raises(Unreachable, match=reason):
            async with opened(Spool(folder, mode="always")):
                pass
        async with opened(Spool(folder)) as spool:  # goes on without one, and says so
            assert spool.status["state"] == "off"
            spool.sink.put(trade(1, TOPIC))
            assert await spool.sink.flush(60) == 0

    run(work)


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o777)
    refused(tmp_path / "spool", "everybody may write")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    os.chown(tmp_path / "spool", 12345, 12345)
    refused(tmp_path / "spool", "another user")


def test_a_link_of_this_user_to_the_spool_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "disk")
    used(tmp_path / "spool")


# -- a full disk


class FullDisk:
    """Writes fail while the files together would have more than ``room`` bytes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.folder, self.room, self._real = folder, room, os.pwrite
        monkeypatch.setattr("k2conn.spool.flusher.AGAIN", 0.05)
        monkeypatch.setattr("k2conn.spool.disk.os.pwrite", self.pwrite)

    def pwrite(self, file: int, data: bytes, at: int) -> int:
        taken = sum(path.stat().st_size for path in self.folder.rglob("*.spool"))
        left = self.room - taken + max(0, os.fstat(file).st_size - at)
        if left <= 0:
            raise OSError(28, "No space left on device")
        return self._real(file, data[: max(1, left)], at)


def test_a_full_disk_empties_when_the_sink_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account("trade", "BTCUSD")

    async def work() -> None:
        FullDisk(tmp_path, monkeypatch, 400_000)
        async with opened(Spool(tmp_path, max_bytes=1 << 20, fsync_ms=20)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(4000):
                spool.sink.put(trade(number, TOPIC)._replace(account=account))
                account.received += 1
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
            await spool.until(lambda: spool.status["errors"] > 2)
            assert sum(log.buffered for log in spool.sink._logs()) > 100_000
            spool.inner.back()
            await spool.until(lambda: len(spool.numbers) == 4000)
            assert spool.numbers == list(range(4000))
            await spool.until(lambda: spool.status["state"] == "direct" and not list(tmp_path.rglob("*.spool")))
        assert (account.published, account.lost, account.in_flight) == (4000, 0, 0)

    run(work)
    assert "takes records again" in caplog.text


def test_a_disk_that_stays_full_takes_no_more_memory_with_each_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for room makes nothing that would have the garbage collected."""
    async def work() -> None:
        FullDisk(tmp_path, monkeypatch, 0)
        async with opened(Spool(tmp_path, fsync_ms=20)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(4000):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: spool.status["errors"] > 2)
            waiting = sum(log.buffered for log in spool.sink._logs())
            before, _ = tracemalloc.get_traced_memory()
            await spool.until(lambda: spool.status["errors"] > 30)
            assert waiting > 300_000
            assert tracemalloc.get_traced_memory()[0] - before < 2 * waiting
            monkeypatch.undo()

    gc.disable()
    tracemalloc.start()
    try:
        run(work)
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_topic_that_fills_the_disk_is_sent_when_it_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        FullDisk(tmp_path, monkeypatch, 300_000)
        async with opened(Spool(tmp_path, max_bytes=1 << 20, fsync_ms=20)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(3000):
                spool.sink.put(trade(number, "bad" if number % 2 else TOPIC))
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
            await spool.until(lambda: spool.status["errors"] > 2)
            spool.inner.trouble = {"bad": "not allowed"}
            spool.inner.back()
            await spool.until(lambda: len(spool.numbers) == 1500)
            spool.inner.trouble, spool.inner.bound = {}, 500
            spool.inner.send()
            await spool.until(lambda: len(spool.numbers) == 3000, 60)
            assert [one for one in spool.numbers if one % 2] == list(range(1, 3000, 2))

    run(work)


def test_what_a_full_disk_cost_is_in_the_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account("trade", "BTCUSD")

    async def first() -> None:
        FullDisk(tmp_path, monkeypatch, 200_000)
        async with opened(Spool(tmp_path, max_bytes=1 << 20, fsync_ms=20)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(2000):
                spool.sink.put(trade(number, TOPIC)._replace(account=account))
                account.received += 1
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
            await spool.until(lambda: spool.status["errors"] > 1)
            assert await spool.sink.flush(0.1) > 0

    run(first)
    assert account.lost > 0
    assert account.spooled == account.in_flight == 2000 - account.lost
    assert f"{account.lost} records are lost" in caplog.text

    async def second() -> None:
        monkeypatch.undo()
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: len(spool.numbers) == account.spooled)
            await asyncio.sleep(0.1)
            assert spool.numbers == list(range(account.spooled))  # what was lost does not come after all
            assert spool.status["damaged"] == 0

    run(second)
