"""Files: their bytes, the digest of what was read, and the positions on the disk."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from k2conn.batch.positions import Positions, SavedPosition
from k2conn.batch.prefix import PrefixDigest
from k2conn.batch.reading import RowSource
from k2conn.codecs import RowPosition
from k2conn.errors import SettingsError, SinkError
from k2conn.plan import FrameEncoding
from k2conn.transports.file.source import PIECE, FileSource, UnreadableFile

CSV = FrameEncoding(("csv",), ("csv",), settings={"columns": ("a", "b")})
DATA = b"".join(b"%d,%d\n" % (n, n * n) for n in range(80_000))


def packed(kind: str, data: bytes = DATA) -> bytes:
    half = len(data) // 2
    if kind == "gz":
        return gzip.compress(data[:half]) + gzip.compress(data[half:]) + bytes(512)
    if kind == "zst":
        return zstandard.compress(data[:half]) + zstandard.compress(data[half:])
    return data


def whole(path: Path) -> bytes:
    found = []
    with closing(FileSource(path)) as source:
        while data := source.read():
            assert len(data) <= PIECE
            found.append(data)
        assert source.done == source.size == path.stat().st_size
    return b"".join(found)


@pytest.mark.parametrize("kind", ["plain", "gz", "zst"])
@pytest.mark.parametrize("data", [DATA, b"", b"x", bytes(3_000_000)], ids=["rows", "empty", "short", "zeros"])
def test_a_file_is_read_whole(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(packed(kind, data))
    assert whole(path) == data


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_file_that_is_cut_off_or_damaged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.csv"
    for data, why in ((packed(kind).rstrip(b"\0")[:-20], "cut off"), (packed(kind)[:8] + b"damaged" * 99, ".")):
        path.write_bytes(data)
        with pytest.raises(UnreadableFile, match=why):
            whole(path)


@pytest.mark.parametrize("name", ["folder", "gone", "fifo"])
def test_what_is_no_plain_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnreadableFile):
        FileSource(tmp_path / name)


def test_a_digest_follows_a_position() -> None:
    made = random.Random(2)
    data = made.randbytes(3_000_000)
    digest, read, at = PrefixDigest(), 0, 0
    while at < len(data):
        piece = data[read : read + made.randint(1, 400_000)]
        digest.add(piece)
        read += len(piece)
        at = made.randint(at, read) if read < len(data) else read
        digest.move(at)
        assert (digest.offset, digest.digest) == (at, hashlib.sha256(data[:at]).hexdigest())


def test_a_digest_holds_no_large_row() -> None:
    digest = PrefixDigest()
    digest.add(b"ab")
    digest.move(1)
    for _ in range(40):
        digest.add(bytes(1 << 18))
        digest.move(1)
        assert len(digest._held) <= 5 << 20
    digest.add(b"\nnext")
    digest.move(2 + (40 << 18) + 1)
    assert digest.digest == hashlib.sha256(b"ab" + bytes(40 << 18) + b"\n").hexdigest()
    digest.move(2 + (40 << 18) + 5)
    assert digest.digest == hashlib.sha256(b"ab" + bytes(40 << 18) + b"\nnext").hexdigest()


@pytest.mark.parametrize("kind", ["plain", "gz", "zst"])
def test_reading_goes_on_at_any_position(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(packed(kind))
    source = RowSource(path, CSV, None)
    rows, saved = 0, None
    for found in source.pieces():
        rows += len(found)
        if saved is None and rows > 20_000:
            saved = SavedPosition(source.position, source.digest)
    assert (rows, source.digest) == (80_000, hashlib.sha256(DATA).hexdigest())
    source.close()
    assert saved is not None
    again = RowSource(path, CSV, saved)
    numbers = [int(row[2]["a"]) for found in again.pieces() for row in found]  # type: ignore[index]
    assert numbers == list(range(saved.position.row, 80_000))
    assert (again.position, again.digest) == (source.position, source.digest)
    again.close()


def test_another_file_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(DATA)
    saved = SavedPosition(RowPosition(1000, 10, 10), hashlib.sha256(DATA[:1000]).hexdigest())
    path.write_bytes(DATA[:500] + b"x" + DATA[501:])
    with pytest.raises(UnreadableFile, match=r"has changed in what was loaded of it \(1000 bytes\): --again"):
        RowSource(path, CSV, saved)
    path.write_bytes(DATA[:500])
    with pytest.raises(UnreadableFile, match="is shorter than what was loaded"):
        RowSource(path, CSV, saved)


def test_positions_are_kept_by_connector_file_and_destination(tmp_path: Path) -> None:
    positions = Positions(tmp_path / "state", "one", "file /out")
    file, other = Path("/data/a.csv"), Path("/data/b.csv")
    for where in (RowPosition(5, 3, 2, ("a", "b"), True), RowPosition(9, 4, 3)):
        positions.save(file, where, "00ff")
        assert positions.find(file) == SavedPosition(where, "00ff")
    assert positions.find(other) is None
    assert Positions(tmp_path / "state", "two", "file /out").find(file) is None
    assert Positions(tmp_path / "state", "one", "file /else").find(file) is None
    assert Positions(None, "one", "file /out").find(file) is None
    positions.forget(file)
    assert positions.find(file) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format":2,"offset":0,"line":0,"row":0}',
                                  '{"format":1,"offset":-1,"line":0,"row":0,"columns":null,"unended":false,"sha256":""}',
                                  '{"format":1,"offset":0,"line":0,"row":0,"columns":[1],"unended":false,"sha256":""}',
                                  '{"format":1,"offset":0,"line":0,"row":0,"columns":null,"unended":0,"sha256":""}'])
def test_what_is_no_position_is_refused_by_name(tmp_path: Path, text: str) -> None:
    positions = Positions(tmp_path / "state", "one", "file")
    file = Path("/data/a.csv")
    positions.save(file, RowPosition(), "")
    (kept,) = (tmp_path / "state").glob("*.json")
    kept.write_text(text)
    with pytest.raises(SettingsError, match="is no position of a file"):
        positions.find(file)


def test_two_processes_do_not_load_one_file(tmp_path: Path) -> None:
    file = Path("/data/a.csv")
    first, second = (Positions(tmp_path / "state", "one", "file") for _ in range(2))
    first.claim(file)
    with pytest.raises(SettingsError, match=r"another process loads /data/a.csv into file"):
        second.claim(file)
    second.claim(Path("/data/b.csv"))
    first.release()
    second.claim(file)
    second.release()


def test_a_position_that_cannot_be_written_ends_the_load(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SinkError, match=r"the position of /data/a\.csv cannot be written"):
        Positions(tmp_path / "state", "one", "file").save(Path("/data/a.csv"), RowPosition(), "")
