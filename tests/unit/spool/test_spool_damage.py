"""Spool files that are damaged, or that somebody prepared: what is lost is one record at most, and counted; every start
goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn.spool.disk import Disk, read_mark
from k2conn.spool.entries import RECORD, TRIES, KeyedFormat, recognised
from k2conn.spool.recovered_accounts import RecoveredAccounts
from k2conn.spool.segmented_log import SegmentedLog
from tests.support.sinks import dead, trade
from tests.support.spools import Spool, opened, run

TOPIC = "market.crypto.trades.x"
NAME = "000000000001.spool"


def written(count: int = 12) -> bytes:
    """A file as a killed process leaves it: records of several symbols, and dead letters."""
    log = SegmentedLog(Path("/nowhere"), Disk(), 1 << 30, lambda: None)
    for number in range(count):
        one = trade(number, TOPIC, symbol=f"S{number % 3}") if number % 4 else dead(number, f"{TOPIC}.dlq")
        log.append(one)
    ((_, data),) = log.parts()
    return data


def old(*entries: bytes) -> bytes:
    """A file of version 0.1."""
    framed = (struct.pack("<II", len(one), zlib.crc32(one)) + one for one in entries)
    return b"K2SPOOL1" + b"".join(framed)


def old_text(kind: int, text: Any) -> bytes:
    return bytes((kind,)) + (text if isinstance(text, bytes) else json.dumps(text).encode())


def old_record(number: int, route: int = 0, stamp: int = 1) -> bytes:
    return struct.pack("<BIq", 3, route, stamp) + b'{"n":%d}' % number


ROUTE = {"id": 0, "topic": TOPIC, "key": None, "schema": None, "stream": "trade", "symbol": "X"}


class Read:
    """What the next process finds in one file."""

    def __init__(self, folder: Path, data: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self.path.write_bytes(data)
        self.values: list[bytes] = []
        self.damaged = 0

        async def work() -> None:
            disk = Disk()
            log = SegmentedLog(folder, disk, 1 << 20, lambda: None)
            self.counted = await log.load(RecoveredAccounts().account)
            while await log.fill():
                self.values += [envelope.value for envelope, _ in log.chunk]
                log.chunk.clear()
            self.damaged = log.damaged
            disk.end()

        run(work)


WHOLE = written()
VALUES = [bytes(entry.value) for entry in recognised(WHOLE).scan(WHOLE[12:], 12, True).entries if entry.kind == RECORD]  # type: ignore[union-attr]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    read = Read(tmp_path, WHOLE)
    assert (read.values, read.damaged, read.counted, len(VALUES)) == (VALUES, 0, 12, 12)


@pytest.mark.deploy
def test_a_flipped_bit_costs_at_most_its_record_and_is_counted(tmp_path: Path) -> None:
    for place in range(len(WHOLE)):
        if place > 1500 and place % 5:  # every byte of head, routes and first records; of the rest some
            continue
        data = bytearray(WHOLE)
        data[place] ^= 1 << place % 8
        read = Read(tmp_path, bytes(data))
        assert len(VALUES) - len(read.values) <= 1, place
        assert [one for one in VALUES if one in read.values] == read.values, place
        assert read.damaged == 1, place
        assert read.counted == len(read.values)


@given(place=st.integers(0, len(WHOLE) * 8 - 1))
@settings(max_examples=75, deadline=None)
def test_any_flipped_bit(tmp_path_factory: pytest.TempPathFactory, place: int) -> None:
    data = bytearray(WHOLE)
    data[place // 8] ^= 1 << place % 8
    read = Read(tmp_path_factory.mktemp("x"), bytes(data))
    assert len(VALUES) - len(read.values) <= 1
    assert read.damaged == 1
    assert all(one in VALUES for one in read.values)


@given(begin=st.integers(0, len(WHOLE)), junk=st.binary(max_size=600), insert=st.booleans())
@settings(max_examples=75, deadline=None)
def test_whatever_is_written_over_a_place_never_makes_a_record(
    tmp_path_factory: pytest.TempPathFactory, begin: int, junk: bytes, insert: bool
) -> None:
    data = WHOLE[:begin] + junk + WHOLE[begin if insert else begin + len(junk) :]
    read = Read(tmp_path_factory.mktemp("x"), data)
    assert all(one in VALUES for one in read.values)
    assert read.counted == len(read.values)
    if len(read.values) < len(VALUES) and begin + len(junk) < len(WHOLE):
        assert read.damaged


@given(data=st.one_of(
    st.binary(max_size=3000),
    st.binary(max_size=3000).map(lambda rest: b"K2SPOOL1" + rest),
    st.binary(max_size=3000).map(lambda rest: b"K2SPOOL2" + rest),
    st.lists(st.binary(min_size=1, max_size=60)).map(lambda bodies: old(*bodies)),
    st.lists(st.tuples(st.sampled_from([1, 2]), st.recursive(
        st.none() | st.integers() | st.text(max_size=8) | st.sampled_from([TOPIC, "..", "00"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["id", "topic", "key", "schema", "stream", "symbol", "name", "text"]), inner),
    ))).map(lambda texts: old(*(old_text(*one) for one in texts), old_record(1))),
))
@settings(max_examples=150, deadline=None)
def test_any_file_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("x")
    read = Read(folder, data)
    assert read.counted == len(read.values)
    assert read.path.exists() == bool(read.values)
    if read.damaged and not read.values:  # never removed
        assert (folder / f"{NAME}.unusable").read_bytes() == data


def test_a_whole_damaged_stretch_is_counted(tmp_path: Path) -> None:
    data = written(300)
    data = data[:20_000] + os.urandom(4096) + data[24_096:]
    read = Read(tmp_path, data)
    assert len(read.values) > 200
    assert read.damaged == 300 - len(read.values)


@pytest.mark.parametrize("filler", [b"\0", b"\1", b"\xff", b"K2SP", b"\x03\0\0\0"])
@pytest.mark.parametrize("head", [b"", b"K2SPOOL1", b"K2SPOOL2K2SP", b"K2SPOOL2\0\0\0\0"])
def test_large_files_of_nothing_are_left_in_a_moment(tmp_path: Path, head: bytes, filler: bytes) -> None:
    started = time.process_time()
    assert Read(tmp_path, head + filler * (8_000_000 // len(filler))).values == []
    assert time.process_time() - started < 30  # two or three; without a bound each byte is a try, which takes minutes
    assert TRIES <= 100_000


def test_a_file_larger_than_the_spool_is_not_read(tmp_path: Path) -> None:
    main = tmp_path / "0" / "main"
    main.mkdir(parents=True)
    with (main / NAME).open("wb") as file:
        file.truncate(1 << 40)

    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always")) as spool:
            assert spool.status["damaged"] == 1
            spool.sink.put(trade(1, TOPIC))
            assert await spool.sink.flush(60) == 0

    run(work)
    assert (main / f"{NAME}.unusable").stat().st_size == 1 << 40


def test_an_entry_that_a_venue_plants_in_a_record_is_not_taken_for_one(tmp_path: Path) -> None:
    planted = KeyedFormat(b"none").packed_record(7, 0, 1, b"forged")
    log = SegmentedLog(tmp_path, Disk(), 1 << 30, lambda: None)
    for number in range(3):
        log.append(trade(number, TOPIC)._replace(value=b"v" * 50 + planted + b"v" * 50))
    ((_, data),) = log.parts()
    at = data.index(b"vvvv")
    read = Read(tmp_path / "x", data[: at - 20] + b"?" + data[at - 19 :])
    assert (len(read.values), read.damaged) == (2, 1)


# -- files of version 0.1


def test_a_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    read = Read(tmp_path, old(old_text(2, ROUTE), *map(old_record, range(5))))
    assert (read.values, read.damaged) == ([b'{"n":%d}' % n for n in range(5)], 0)


@pytest.mark.deploy
def test_a_flipped_bit_behind_the_routes_of_an_old_file_costs_a_record(tmp_path: Path) -> None:
    data = old(old_text(2, ROUTE), *map(old_record, range(30)))
    for place in range(8 + 8 + 1 + len(json.dumps(ROUTE)), len(data)):
        for bit in (0, 7):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            read = Read(tmp_path, bytes(flipped))
            assert (len(read.values), read.damaged) == (29, 1), place


@pytest.mark.parametrize("first", [
    b"[" * 100_000 + b"]" * 100_000, b"{oops", {"topic": "x"}, [1, 2], {**ROUTE, "key": "zz"}, {**ROUTE, "key": 5},
    {**ROUTE, "topic": "../../x y"}, {**ROUTE, "topic": ["x"]}, {**ROUTE, "schema": [1]}, {**ROUTE, "id": None},
    {**ROUTE, "stream": 7}, {**ROUTE, "symbol": "x" * 5000},
])
def test_routes_that_are_none_cost_their_records(tmp_path: Path, first: Any) -> None:
    good = {**ROUTE, "id": 5}
    read = Read(tmp_path, old(old_text(2, first), old_text(2, good), old_record(1), old_record(2, 5), b"\x03ab"))
    assert read.values == [b'{"n":2}']
    assert read.damaged == 3


@pytest.mark.parametrize("text", [
    "{", '{"type":"record","name":"x","fields":' + "[" * 900 + "]" * 900 + "}", "[" * 100_000,
    '{"type":"record","name":"x","fields":[{"name":"a","type":{"type":"enum","name":"q","symbols":[1,2]}}]}',
    '{"type":"record","name":"x","fields":[{"name":"a","type":{"type":"bytes","logicalType":"decimal",'
    '"precision":1000000000,"scale":3}}]}', '{"type":"record","name":"x","namespace":5,"fields":[{"name":"a b"}]}',
])
def test_schemas_that_are_none_cost_their_records(tmp_path: Path, text: str) -> None:
    schema = old_text(1, {"id": 0, "name": "x", "text": text})
    read = Read(tmp_path, old(schema, old_text(2, {**ROUTE, "schema": 0}), old_record(1)))
    assert (read.values, read.damaged) == ([], 3)


# -- marks


@pytest.mark.parametrize("data", [b"x", b"y" * 20, struct.pack("<QQ", 2**64 - 1, 0)])
def test_a_damaged_mark_hides_nothing(tmp_path: Path, data: bytes) -> None:
    mark = data if len(data) < 16 else data[:16] + struct.pack("<I", zlib.crc32(data[:16]))
    (tmp_path / "mark").write_bytes(mark)
    assert read_mark(tmp_path) == (0, 0) or data == b"y" * 20
    assert Read(tmp_path, WHOLE).values == VALUES or data == b"y" * 20


def test_every_flipped_bit_of_a_mark_costs_nothing(tmp_path: Path) -> None:
    body = struct.pack("<QQ", 1, 12)
    mark = body + struct.pack("<I", zlib.crc32(body))
    for bit in range(len(mark) * 8):
        data = bytearray(mark)
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / "mark").write_bytes(data)
        assert Read(tmp_path, WHOLE).values == VALUES


# -- what has a segment's name


def test_things_with_a_segments_name_are_set_aside(tmp_path: Path) -> None:
    main = tmp_path / "0" / "main"
    main.mkdir(parents=True)
    (main / "000000000001.spool").mkdir()
    os.mkfifo(main / "000000000002.spool")
    (main / "000000000003.spool").symlink_to("/dev/zero")
    (main / "000000000004.spool").symlink_to(tmp_path / "missing")
    (main / "999999999999.spool").write_bytes(WHOLE)
    (main / "notanumber.spool").write_bytes(b"mine")
    (main / "000000000005.spool").write_bytes(WHOLE)

    async def work() -> None:
        async with opened(Spool(tmp_path, mode="always")) as spool:
            await spool.until(lambda: len(spool.book.settled) == 12)
            spool.sink.put(trade(77, TOPIC))
            assert await spool.sink.flush(60) == 0
            await asyncio.sleep(0.3)

    run(work)
    names = {path.name for path in main.iterdir()}
    assert {f"00000000000{n}.spool.unusable" for n in (1, 2, 3, 4)} <= names
    assert {"999999999999.spool.unusable", "notanumber.spool"} <= names
    assert not any(name.startswith("000000000005") for name in names)
    assert not (tmp_path / "missing").exists()
