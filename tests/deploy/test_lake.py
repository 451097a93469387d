"""The lake behind a real REST catalog and a real S3 store: `make test-deploy`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k2conn.lake.engine import SqlEngine
from k2conn.lake.maintenance import Lake
from k2conn.lake.reader import LakeReader
from k2conn.lake.selection import Selection
from k2conn.lake.settings import LakeSettings
from tests.servers import SeaweedFs
from tests.support.databases import numbered
from tests.support.lakes import drive, read, rows, writer
from tests.support.sinks import Book, dead

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    with SeaweedFs(tmp_path_factory.mktemp("seaweedfs")) as found:
        yield found


def lake(server: SeaweedFs, namespace: str, **given: Any) -> LakeSettings:
    return LakeSettings(
        catalog=server.catalog, warehouse="s3://k2tables", credential=f"{server.key}:{server.secret}",
        s3_endpoint=server.s3, s3_region="us-east-1", s3_access_key_id=server.key, s3_secret_access_key=server.secret,
        namespace=namespace, **{"commit_ms": 50, **given},
    )


def test_records_go_there_and_come_back(server: SeaweedFs) -> None:
    settings, book = lake(server, "first"), Book()

    async def work(sink: Any) -> None:
        for number in range(1000):
            sink.put(numbered(number))
        sink.put(dead(1, "t.dlq"))
        assert await sink.flush(120) == 0

    drive(settings, book, work)
    assert len(book.settled) == 1001
    sql = "SELECT count(*), count(DISTINCT message_id), sum(source_sequence), sum(price)::VARCHAR FROM trades"
    assert read(settings, sql) == [(1000, 1000, 499_500, "64000100.00000000")]
    reader = LakeReader(settings)
    assert len(reader.records("trades", Selection(symbol="BTCUSD", side="SELL", limit=10))) == 10
    with SqlEngine() as engine:
        engine.lock(reader.tables(engine, Selection()))
        assert engine.read("SELECT vendor_data['b'] AS b FROM trades LIMIT 1").to_pylist() == [{"b": "ü"}]


def test_two_writers_lose_and_double_nothing(server: SeaweedFs) -> None:
    settings = lake(server, "second")
    writer(settings)
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            one = writer(settings)
            for number in range(first, first + 60, 10):
                one.append(rows(one, [numbered(at) for at in range(number, number + 20)]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 30)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not errors
    assert read(settings, "SELECT count(*), count(DISTINCT message_id) FROM trades") == [(100, 100)]


def test_upkeep_changes_no_row(server: SeaweedFs) -> None:
    settings = lake(server, "third")
    one = writer(settings)
    for number in range(8):
        one.append(rows(one, [numbered(number)]), {("t", 0): number})
    the = Lake(settings, ["trades"])
    (shape,) = the.shapes.values()
    assert the.compact(shape, lambda line: None) == (8, 1)
    assert the.expire(shape, 1, 0) == 8
    assert the.clean(shape, 3_600_000, lambda line: None, dry_run=True).files == 0
    assert read(settings, "SELECT count(*), sum(source_sequence) FROM trades") == [(8, 28)]
    assert writer(settings).committed_offsets() == {("t", 0): 7}


def test_upkeep_beside_writers_loses_and_doubles_nothing(server: SeaweedFs) -> None:
    settings = lake(server, "beside")
    writer(settings)
    stop, counts = threading.Event(), [0, 1_000_000]
    errors: list[BaseException] = []

    def work(at: int) -> None:
        try:
            one = writer(settings)
            while not stop.is_set():
                some = [numbered(counts[at] + number) for number in range(10)]
                one.append(rows(one, some), {(f"t{at}", 0): counts[at]})
                counts[at] += 10
                time.sleep(0.5)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(at,)) for at in (0, 1)]
    for one in threads:
        one.start()
    try:
        the, gone = Lake(settings, ["trades"]), 0
        (shape,) = the.shapes.values()
        for _ in range(3):
            time.sleep(3)
            gone += the.compact(shape, lambda line: None)[0]
            the.expire(shape, 5, 0)
            the.clean(shape, 3_600_000, lambda line: None)
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert not errors
    assert gone > 2
    written = counts[0] + counts[1] - 1_000_000
    assert read(settings, "SELECT count(*), count(DISTINCT message_id) FROM trades") == [(written, written)]
    assert writer(settings).committed_offsets() == {(f"t{at}", 0): counts[at] - 10 for at in (0, 1)}


def test_a_server_that_is_killed_under_load_has_every_record_once(server: SeaweedFs) -> None:
    settings, book = lake(server, "fourth"), Book()
    count = 3000

    async def work(sink: Any) -> None:
        import asyncio

        await sink.prepare({"t": numbered(0).schema})
        back: Any = None
        for number in range(count):
            sink.put(numbered(number))
            if number % 100 == 0:
                await asyncio.sleep(0.05)
            if number == count // 3:
                await asyncio.to_thread(server.kill)
                back = asyncio.create_task(asyncio.to_thread(server.start))
        await back
        assert await sink.flush(120) == 0

    drive(settings, book, work)
    assert len(book.settled) == count
    end = time.monotonic() + 60
    while read(settings, "SELECT count(*), count(DISTINCT message_id) FROM trades") != [(count, count)]:
        assert time.monotonic() < end
        time.sleep(0.5)
