"""The spool before a sink that does as it is told: order, bounds, restarts, damage."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from k2conn.avro import V2, WIDE, RecordSchema, load_schema, use_decimals
from k2conn.engine.accounting.ledger import Account
from k2conn.errors import Unreachable
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.spool import make_spooled
from k2conn.spool.sink import SpoolingSink
from tests.support.sinks import Book, dead, trade
from tests.support.spools import Spool, number_of, opened, run

TOPIC = "market.crypto.trades.x"


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.spool"))


# -- while the inner sink is well


def test_nothing_touches_the_disk_while_all_is_well(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path / "spool")) as spool:
            for number in range(100):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            assert spool.numbers == list(range(100))
            assert spool.status["state"] == "direct"
        assert not (tmp_path / "spool").exists()

    run(work)


def test_what_is_always_spooled_leaves_nothing_behind_when_all_went_well(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path / "spool", mode="always", fsync_ms=20)) as spool:
            for number in range(100):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            await spool.until(lambda: spool.status["synced"] == 100)
            assert (spool.numbers, spool.status["records"]) == (list(range(100)), 0)
            assert files(tmp_path)
        assert not (tmp_path / "spool").exists()

    run(work)


# -- an outage


def test_an_outage_is_spooled_and_drained_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.bound = 50
            account = Account("trade", "BTCUSD")
            for number in range(1000):
                if number == 100:
                    spool.inner.up = False
                spool.sink.put(trade(number, TOPIC)._replace(account=account))
                assert not spool.sink.crowded
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
            assert len(spool.inner.waiting) <= 52
            await spool.until(lambda: account.spooled == 1000 - len(spool.numbers))  # once it is on the disk
            assert (spool.status["state"], spool.status["records"]) == ("spooling", account.spooled)
            spool.inner.back()
            await spool.until(lambda: len(spool.numbers) == 1000)
            assert spool.numbers == list(range(1000))
            assert account.spooled == 0
            await spool.until(lambda: spool.status["state"] == "direct" and not files(tmp_path))
            spool.sink.put(trade(1000, TOPIC))
            await spool.until(lambda: spool.numbers[-1] == 1000)

    run(work)


def test_what_comes_while_the_spool_is_read_goes_behind_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.up, spool.inner.bound = False, 500
            for number in range(5000):
                spool.sink.put(trade(number, TOPIC))
                assert not spool.sink.crowded
            spool.inner.back()
            for number in range(5000, 10_000):
                spool.sink.put(trade(number, TOPIC))
                if number % 50 == 0:
                    await asyncio.sleep(0)
            await spool.until(lambda: len(spool.numbers) == 10_000)
            assert spool.numbers == list(range(10_000))

    run(work)


def test_a_sink_that_is_not_crowded_but_away_is_spooled_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path), kill=True) as spool:
            spool.inner.up = False
            for number in range(10):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: spool.status["synced"] == 10)  # also what was in memory before it was noticed
            assert spool.status["behind"] == 0
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: len(spool.numbers) == 10)
            assert spool.numbers == list(range(10))

    run(work)


@pytest.mark.parametrize("back", [True, False])
def test_a_sink_that_is_only_slow_is_waited_for_a_while(tmp_path: Path, back: bool) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, patience_ms=200)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(20):
                spool.sink.put(trade(number, TOPIC))
            assert spool.sink.crowded
            assert spool.status["state"] == "direct"
            waiting = asyncio.create_task(spool.sink.drain())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            if back:
                spool.inner.back()
            await asyncio.wait_for(waiting, 60)
            assert not spool.sink.crowded
            assert spool.status["state"] == ("direct" if back else "spooling")
            spool.inner.back()
            await spool.until(lambda: len(spool.numbers) == 20)

    run(work)


def test_a_full_spool_crowds_and_recovers(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, max_bytes=1 << 20)) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            number = 0
            while not spool.sink.crowded:
                spool.sink.put(trade(number, TOPIC))
                number += 1
            assert 1 << 20 < spool.status["bytes"] < (1 << 20) + 4096
            waiting = asyncio.create_task(spool.sink.drain())
            await asyncio.sleep(0.5)
            assert not waiting.done()
            spool.inner.back()
            await asyncio.wait_for(waiting, 60)
            assert not spool.sink.crowded
            await spool.until(lambda: len(spool.numbers) == number)
            assert spool.numbers == list(range(number))

    run(work)


def test_a_topic_in_trouble_is_parked_and_the_others_go_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.trouble = {"bad": "no such topic"}
            for number in range(1000):
                spool.sink.put(trade(number, "bad" if number % 2 else TOPIC))
                if number % 100 == 0:
                    await asyncio.sleep(0.05)
            await spool.until(lambda: len(spool.numbers) == 500)
            status = spool.status
            assert (status["parked"], status["records"]) == (["bad"], 500)
            spool.inner.trouble = {}
            spool.inner.send()
            await spool.until(lambda: len(spool.numbers) == 1000)
            assert [number for number in spool.numbers if number % 2] == list(range(1, 1000, 2))
            await spool.until(lambda: spool.status["state"] == "direct" and not files(tmp_path))

    run(work)


def test_a_topic_in_trouble_is_parked_out_of_the_main_log(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path), kill=True) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(1000):
                spool.sink.put(trade(number, "bad" if number % 2 else TOPIC))
                assert not spool.sink.crowded
            spool.inner.trouble = {"bad": "not allowed"}
            spool.inner.back()
            await spool.until(lambda: len(spool.numbers) == 500)
            assert spool.numbers == list(range(0, 1000, 2))
            await spool.until(lambda: spool.status["synced"] >= 1500)
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: len(set(spool.numbers)) >= 500)
            odd = [number for number in spool.numbers if number % 2]
            assert list(dict.fromkeys(odd)) == list(range(1, 1000, 2))

    run(work)


# -- rejections and bugs


def test_a_rejected_record_leaves_the_spool_and_its_letter_goes_the_same_way(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always", fsync_ms=10)) as spool:
            spool.inner.refused = {3}
            spool.book.reject = lambda envelope, *_: spool.sink.put(dead(number_of(envelope), TOPIC + ".dlq"))  # type: ignore[method-assign]
            spool.sink._reject = spool.book.reject
            for number in range(6):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            assert [one.topic for one in spool.book.settled].count(TOPIC + ".dlq") == 1
            assert len(spool.book.settled) == 6
            await spool.until(lambda: spool.status["records"] == 0)

    run(work)


def test_a_bug_of_the_inner_sink_comes_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.up, spool.inner.bug = False, ZeroDivisionError("a bug")
            spool.sink.put(trade(1, TOPIC))
            assert not spool.sink.crowded  # that there is room on the disk is all that is known
            spool.sink.put(trade(2, TOPIC))
            await spool.until(lambda: spool.sink.crowded)
            with pytest.raises(ZeroDivisionError):
                await spool.sink.drain()

    run(work)


@pytest.mark.parametrize("up", [True, False])
def test_before_a_bug_of_the_inner_sink_ends_all_its_records_are_on_the_disk(tmp_path: Path, up: bool) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.send = lambda: None  # type: ignore[method-assign]
            spool.inner.up = up
            for number in range(20):
                spool.sink.put(trade(number, TOPIC))

            async def flush(within: float) -> int:
                raise ZeroDivisionError("a bug")

            spool.inner.flush = flush  # type: ignore[method-assign]
            with pytest.raises(ZeroDivisionError):
                await spool.sink.flush(5)
        async with opened(Spool(tmp_path)) as spool:
            assert await spool.sink.flush(60) == 0
            assert spool.numbers == list(range(20))

    run(work)


def test_the_same_envelope_twice_is_two_records(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always")) as spool:
            one = trade(1, TOPIC)
            for _ in range(3):
                spool.sink.put(one)
            assert await spool.sink.flush(60) == 0
            assert spool.numbers == [1, 1, 1]

    run(work)


# -- the next process


def test_what_was_left_goes_out_first_in_order(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path), kill=True) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(1000):
                spool.sink.put(trade(number, TOPIC, symbol=f"S{number % 7}"))
                assert not spool.sink.crowded
            await spool.until(lambda: spool.status["synced"] == 1000)
        async with opened(Spool(tmp_path)) as spool:
            assert spool.status["recovered"] == 1000
            for number in range(1000, 1100):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: len(spool.numbers) == 1100)
            assert spool.numbers == list(range(1100))
            first = spool.book.settled[3]
            assert first == trade(3, TOPIC, symbol="S3")._replace(account=first.account)
            assert (first.account and first.account.stream) == "-"
            await spool.until(lambda: spool.status["recovered_published"] == 1000)
            await spool.until(lambda: spool.status["state"] == "direct" and not files(tmp_path))

    run(work)


def test_an_end_in_order_keeps_what_was_not_sent(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            spool.inner.up = False
            for number in range(20):
                spool.sink.put(trade(number, TOPIC)._replace(account=Account("trade", "BTCUSD")))
            spool.sink.put(dead(20, TOPIC + ".dlq"))
            assert await spool.sink.flush(0.1) == 0
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: len(spool.book.settled) == 21)
            assert spool.book.settled[20].dead
            accounts = {(one.account.stream, one.account.symbol) for one in spool.book.settled if one.account}
            assert accounts == {("trade", "BTCUSD"), ("-", "-")}

    run(work)


def test_what_was_acknowledged_is_not_sent_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always", fsync_ms=10), kill=True) as spool:
            for number in range(100):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            await asyncio.sleep(0.2)
            spool.inner.up = False
            for number in range(100, 110):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: spool.status["synced"] == 110)
        async with opened(Spool(tmp_path, mode="always")) as spool:
            await spool.until(lambda: len(spool.numbers) == 10)
            assert spool.numbers == list(range(100, 110))

    run(work)


def test_a_schema_that_changed_since_is_taken_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = load_schema("trade")
    older = RecordSchema("trade", ours.text.replace('"name":"trade_id"', '"name":"trade_id","doc":"as it was"'))
    assert older.text != ours.text

    async def work() -> None:
        async with opened(Spool(tmp_path), kill=True) as spool:
            spool.inner.up = False
            spool.sink.put(trade(1, TOPIC)._replace(schema=older))
            await spool.until(lambda: spool.status["synced"] == 1)
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: bool(spool.book.settled))
            (envelope,) = spool.book.settled
            assert envelope.schema is not None
            assert envelope.schema.text == older.text

    run(work)


def test_a_mark_never_hides_what_came_after_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always", fsync_ms=10), kill=True) as spool:
            for number in range(10):
                spool.sink.put(trade(number, TOPIC))
            assert await spool.sink.flush(60) == 0
            await asyncio.sleep(0.1)
        for life in (100, 200):  # everything before was acknowledged, its mark is still there
            async with opened(Spool(tmp_path), kill=True) as spool:
                await spool.until(lambda: spool.sink.status()["queued"] == 0)
                spool.inner.up = False
                for number in range(5):
                    spool.sink.put(trade(life + number, TOPIC))
                await spool.until(lambda: spool.status["synced"] >= 5)
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: spool.numbers[-5:] == list(range(200, 205)))

    run(work)


# -- damage


def left(tmp_path: Path, count: int = 50) -> Path:
    """A segment file of ``count`` records, as a killed process leaves it."""

    async def work() -> None:
        async with opened(Spool(tmp_path), kill=True) as spool:
            spool.inner.up = False
            for number in range(count):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: spool.status["synced"] == count)

    run(work)
    (path,) = files(tmp_path)
    return path


def found(tmp_path: Path, count: int) -> list[int]:
    """What the next process reads."""
    numbers: list[int] = []

    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            await spool.until(lambda: len(spool.numbers) >= count)
            await asyncio.sleep(0.05)
            numbers.extend(spool.numbers)

    run(work)
    return numbers


def test_a_torn_tail_is_cut_off_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = left(tmp_path)
    os.truncate(path, path.stat().st_size - 10)
    assert found(tmp_path, 49) == list(range(49))
    assert "was torn" in caplog.text


@pytest.mark.parametrize("junk", [b"\0" * 4096, b"\xff" * 100, b"\x07"])
def test_garbage_at_the_end_is_cut_off(tmp_path: Path, junk: bytes) -> None:
    path = left(tmp_path)
    with path.open("ab") as file:
        file.write(junk)
    assert found(tmp_path, 50) == list(range(50))


def test_a_damaged_record_costs_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = left(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"X-25") + 3] ^= 1
    path.write_bytes(data)
    assert found(tmp_path, 49) == [number for number in range(50) if number != 25]
    assert "damaged" in caplog.text


def test_every_length_a_file_may_be_cut_to_is_read(tmp_path: Path) -> None:
    path = left(tmp_path, 3)
    whole = path.read_bytes()
    for size in (*range(10), *range(len(whole) - 1000, len(whole), 41)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole[:size])
        numbers = found(tmp_path, 0)
        assert numbers == list(range(len(numbers)))


def test_a_strange_file_stops_nothing(tmp_path: Path) -> None:
    path = left(tmp_path)
    path.with_name("000000000000.spool").write_bytes(b"what is this")
    assert found(tmp_path, 50) == list(range(50))


# -- the disk in trouble


def test_a_disk_that_is_full_keeps_records_in_memory_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = [0]
    real = os.pwrite

    def short(file: int, data: bytes, at: int) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        count = min(len(data), 1000)  # a write may also be cut short
        room[0] -= count
        return real(file, data[:count], at)

    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always", fsync_ms=10)) as spool:
            monkeypatch.setattr("k2conn.spool.flusher.AGAIN", 0.05)
            monkeypatch.setattr("k2conn.spool.disk.os.pwrite", short)
            spool.inner.up = False
            for number in range(100):
                spool.sink.put(trade(number, TOPIC))
            await spool.until(lambda: spool.status["errors"] > 1)
            assert spool.status["last_error"] == "No space left on device"
            assert spool.sink.status()["reachable"] is False
            room[0] = 5000
            await spool.until(lambda: room[0] <= 0)
            room[0] = 1 << 30
            await spool.until(lambda: spool.status["synced"] == 100)
            spool.inner.back()
            await spool.until(lambda: spool.numbers == list(range(100)))

    run(work)
    assert caplog.text.count("cannot write") == 1


def test_a_spool_that_cannot_be_made_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()

    async def work() -> None:
        with pytest.raises(Unreachable, match="spool folder"):
            async with opened(Spool(tmp_path / "file" / "spool", mode="always")):
                pass
        async with opened(Spool(tmp_path / "file" / "spool")) as spool:
            spool.inner.up, spool.inner.bound = False, 10
            for number in range(20):
                spool.sink.put(trade(number, TOPIC))
            assert spool.sink.crowded  # only memory holds what waits
            assert spool.status["state"] == "off"
            waiting = asyncio.create_task(spool.sink.drain())
            spool.inner.back()
            await asyncio.wait_for(waiting, 60)
            await spool.until(lambda: len(spool.numbers) == 20)

    run(work)
    assert "only memory holds" in caplog.text


# -- processes that share a folder


def test_each_process_has_a_part_of_the_folder(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always")) as one, opened(Spool(tmp_path, mode="always")) as other:
            assert Path(one.status["folder"]).name == "0"
            assert Path(other.status["folder"]).name == "1"

    run(work)


def test_a_part_that_was_left_is_taken_up_by_the_next(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always")):
            async with opened(Spool(tmp_path), kill=True) as spool:
                spool.inner.up = False
                spool.sink.put(trade(1, TOPIC))
                await spool.until(lambda: spool.status["synced"] == 1)
            async with opened(Spool(tmp_path)) as spool:
                await spool.until(lambda: spool.numbers == [1])

    run(work)


def test_what_another_left_is_not_written_over(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(Spool(tmp_path)) as spool:
            async with opened(Spool(tmp_path, mode="always", fsync_ms=10), kill=True) as other:
                other.inner.up = False
                other.sink.put(trade(1, TOPIC))
                await other.until(lambda: other.status["synced"] == 1)
            spool.inner.up = False
            spool.sink.put(trade(2, TOPIC))
            await spool.until(lambda: spool.status["synced"] == 1)
            async with opened(Spool(tmp_path)) as heir:
                await heir.until(lambda: heir.numbers == [1])
            spool.inner.back()
            await spool.until(lambda: spool.numbers == [2])

    run(work)


# -- which sinks have one


@pytest.mark.parametrize(("kind", "mode", "spooled"), [
    ("kafka", "trouble", True), ("kafka", "always", True), ("kafka", "never", False), ("file", "always", False),
])
def test_sinks_across_a_network_have_a_spool(tmp_path: Path, kind: str, mode: str, spooled: bool) -> None:
    book = Book()
    settings = SinkSettings(kind=kind, spool=SpoolSettings(mode=mode))
    assert isinstance(make_spooled(settings, book.settle, book.reject), SpoolingSink) is spooled


def test_records_keep_the_decimals_that_they_were_made_with(tmp_path: Path) -> None:
    """A process with K2_DECIMALS=38,18 finds what one with 18,8 has left."""

    async def leave() -> None:
        async with opened(Spool(tmp_path / "spool", mode="always"), kill=True) as spool:
            spool.inner.up = False
            spool.sink.put(trade(1, TOPIC))
            await spool.until(lambda: spool.status["synced"] == 1)

    async def find() -> None:
        async with opened(Spool(tmp_path / "spool")) as spool:
            assert await spool.sink.flush(60) == 0
            (envelope,) = spool.book.settled
            assert envelope.schema is not None
            assert envelope.schema.decimals == V2
            assert envelope.schema.decode_plain(envelope.value)["price"] == "64000.1"

    run(leave)
    use_decimals(WIDE)
    try:
        run(find)
    finally:
        use_decimals(V2)
