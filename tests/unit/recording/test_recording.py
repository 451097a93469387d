"""Recordings: written by a thread that the feed never waits for, bounded, read up to where they were cut."""

from __future__ import annotations

import gzip
import logging
import os
import stat
import threading
import time
from pathlib import Path

import pytest
import zstandard

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.observe import Observer, Observers, Opening, SessionPlace
from k2conn.recording import blocks, recorder
from k2conn.recording.entries import EntryKind, RecordedEntry
from k2conn.recording.folder import Bounds, RecordingFolder, files_of
from k2conn.recording.reader import Recording, is_recording
from k2conn.recording.recorder import Recorder
from k2conn.secret_mask import SecretMask
from k2conn.symbols import Symbol

PLACE = SessionPlace("venue", "main-0", 1)
BTC = Symbol("BTC-USD", "BTCUSD", "BTC", "USD", (("expiry", "260327"),))
OPENING = Opening("main", 0, None, (BTC,), "40c47908-6ccc-414d-8b3f-eae59f34d7d4")


@pytest.fixture(params=["zstd", "gzip"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How it is compressed."""
    if request.param == "gzip":
        monkeypatch.setattr(blocks, "zstd_there", lambda: False)
    return str(request.param)


def entries(*paths: Path) -> list[RecordedEntry]:
    return [one for _, one in Recording(paths).entries()]


def texts(*paths: Path) -> list[str | bytes]:
    return [one.frame for one in entries(*paths) if one.kind == EntryKind.RECEIVED]


def record(folder: Path, reads: list[list[str | bytes]], bounds: Bounds | None = None) -> Recorder:
    """A recording of one session."""
    made = Recorder(folder, bounds)
    made.start()
    made.begun("venue", ("trade",), False, 1)
    made.opened(PLACE, OPENING, 1.0, 2)
    for number, frames in enumerate(reads):
        made.received(PLACE, frames, number + 2.0, number + 10)
    made.ended(PLACE, "closed", "", 99.0, 99)
    assert made.close()
    return made


def test_what_was_told_is_read_again(tmp_path: Path, kind: str) -> None:
    reads: list[list[str | bytes]] = [["a", "\u20ac\n\u2028"], [b"\xff\x00", b"plain"], ["x" * 400_000]]
    made = record(tmp_path / "rec", reads)
    assert (made.frames, made.lost) == (5, 0)
    found = entries(tmp_path / "rec")
    assert [one.kind for one in found] == ["begun", "opened", *["received"] * 5, "ended"]
    assert [one.frame for one in found[2:7]] == ["a", "\u20ac\n\u2028", b"\xff\x00", b"plain", "x" * 400_000]
    assert found[1].more["symbols"] == [["BTC-USD", "BTCUSD", "BTC", "USD", [["expiry", "260327"]], "", ""]]
    assert (found[1].place, found[1].time, found[1].now) == (PLACE, 2, 1_000_000)
    steps = list(Recording([tmp_path / "rec"]).steps())
    assert [len(step.frames) for step in steps] == [0, 0, 2, 2, 1, 0]


def test_any_tool_reads_it(tmp_path: Path, kind: str) -> None:
    """`zstdcat` and `zcat` need not know of the heads."""
    record(tmp_path / "rec", [["a"], ["b" * 300_000], ["c"]])
    (path,) = files_of(tmp_path / "rec")
    if kind == "zstd":
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            text = reader.read()
    else:
        text = gzip.decompress(path.read_bytes())
    kinds = [exactjson.decode(line)["kind"] for line in text.splitlines()]
    assert kinds == ["begun", "opened", "received", "received", "received", "ended"]


def test_heads_tell_what_is_there_without_reading_it(tmp_path: Path, kind: str) -> None:
    record(tmp_path / "rec", [["a" * 300_000], ["b" * 300_000], ["c"]])
    recording = Recording([tmp_path / "rec"])
    assert recording.extent().lines == 6
    assert recording.connectors() == {"venue": {"trade"}}
    (path,) = files_of(tmp_path / "rec")
    with path.open("rb") as file:
        first = blocks.read_head(file)
        assert first is not None
        file.seek(first[0].stored, os.SEEK_CUR)  # a reader may begin at any block
        second = blocks.read_head(file)
        assert second is not None
        assert blocks.read_lines(file, *second).count(b"\n") == second[0].lines


def test_a_file_is_read_up_to_where_it_was_cut(tmp_path: Path, kind: str) -> None:
    record(tmp_path / "rec", [["a" * 300_000], ["b" * 300_000], ["c"]])
    (path,) = files_of(tmp_path / "rec")
    whole = path.read_bytes()
    before = len(whole)
    for end in (len(whole) - 1, len(whole) - 30, len(whole) // 2, 60, 10, 3):
        path.write_bytes(whole[:end])
        if end < blocks.START:
            with pytest.raises(SettingsError, match="no recording"):
                Recording([path])
            continue
        recording = Recording([path])
        found = [one.frame for _, one in recording.entries() if one.kind == EntryKind.RECEIVED]
        assert found == ["a" * 300_000, "b" * 300_000, "c"][: len(found)]
        assert len(found) < before
        assert "ends in the middle" in recording.troubles[0], end
        before = len(found) + 1
    assert before == 1


def test_damage_is_told_from_a_cut_nowhere_believed(tmp_path: Path, kind: str) -> None:
    """Any byte changed: the block is left out, or what it says is what was written; nothing else is ever raised."""
    record(tmp_path / "rec", [["a" * 50], ["b" * 50]])
    (path,) = files_of(tmp_path / "rec")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            found = texts(path)
        except SettingsError:
            assert at < blocks.START
            continue
        assert found in ([], ["a" * 50, "b" * 50]), at


def test_files_follow_each_other_and_the_oldest_go(tmp_path: Path) -> None:
    rows: list[list[str | bytes]] = [[os.urandom(150_000).hex()] for _ in range(12)]
    record(tmp_path / "rec", rows, Bounds(file_bytes=200_000, total_bytes=500_000))
    files = files_of(tmp_path / "rec")
    assert len(files) > 1
    assert sum(one.stat().st_size for one in files) <= 500_000
    found = texts(tmp_path / "rec")
    assert found == [one for (one,) in rows][-len(found) :]
    for path in files:  # each file can be read alone: it says how the session began
        kinds = [one.kind for one in entries(path)]
        assert kinds[:2] == ["begun", "opened"], path


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").write_bytes(b"x" * 600_000)
    record(folder, [[os.urandom(150_000).hex()] for _ in range(6)], Bounds(file_bytes=100_000, total_bytes=200_000))
    assert (folder / "notes.txt").stat().st_size == 600_000


def test_recordings_are_this_users_alone(tmp_path: Path) -> None:
    record(tmp_path / "rec", [["a"]])
    assert stat.S_IMODE((tmp_path / "rec").stat().st_mode) == 0o700
    (path,) = files_of(tmp_path / "rec")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    link = tmp_path / "link.jsonl.zst"
    link.symlink_to(path)
    with pytest.raises(SettingsError, match="link"):
        texts(link)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(SettingsError, match="everybody"):
        Recorder(tmp_path / "open")


def test_a_folder_has_one_recorder(tmp_path: Path) -> None:
    first = RecordingFolder(tmp_path / "rec", Bounds())
    with pytest.raises(SettingsError, match="another process"):
        Recorder(tmp_path / "rec")
    first.close()
    record(tmp_path / "rec", [["a"]])
    record(tmp_path / "rec", [["b"]])
    assert texts(tmp_path / "rec") == ["a", "b"]


def test_workers_recordings_are_one_in_the_order_of_time(tmp_path: Path) -> None:
    for number in range(2):
        made = Recorder(tmp_path / "rec" / f"worker-{number}")
        made.start()
        for at in range(number, 10, 2):
            made.received(PLACE, [str(at)], float(at), at)
        assert made.close()
    found = list(Recording([tmp_path / "rec"]).entries())
    assert [one.frame for _, one in found] == [str(at) for at in range(10)]
    assert [source for source, _ in found] == [0, 1] * 5


def test_a_slow_disk_loses_frames_and_says_how_many_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed does not wait, and what waits for the disk is bounded."""
    gate = threading.Event()
    write = RecordingFolder.write

    def slow(self: RecordingFolder, *block: object) -> None:
        gate.wait(60)
        write(self, *block)  # type: ignore[arg-type]  # what it was given

    monkeypatch.setattr(RecordingFolder, "write", slow)
    made = Recorder(tmp_path / "rec", waiting=1_000_000)
    made.start()
    began = time.monotonic()
    for number in range(40):
        made.received(PLACE, ["x" * 100_000], float(number), number)
    assert time.monotonic() - began < 30
    assert made.figures()["recording_lost_frames"] > 10
    gate.set()
    for _ in range(500):
        if made._taken == made._put:
            break
        time.sleep(0.01)
    made.received(PLACE, ["after"], 50.0, 50)
    assert made.close()
    found = entries(tmp_path / "rec")
    (lost,) = [one for one in found if one.kind == EntryKind.LOST]
    assert lost.more["frames"] == made.lost
    assert sum(one.kind == EntryKind.RECEIVED for one in found) == made.frames == 41 - made.lost
    assert found[-1].frame == "after"
    recording = Recording([tmp_path / "rec"])
    list(recording.entries())
    assert any("frames are missing" in text for text in recording.troubles)


def test_a_full_disk_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = threading.Event()
    full.set()
    write = RecordingFolder.write

    def filled(self: RecordingFolder, *block: object) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        write(self, *block)  # type: ignore[arg-type]  # what it was given

    monkeypatch.setattr(RecordingFolder, "write", filled)
    monkeypatch.setattr(recorder, "AGAIN", 0.0)
    monkeypatch.setattr(recorder, "BLOCK", 1)
    made = Recorder(tmp_path / "rec")
    made.start()
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            made.received(PLACE, ["x"], float(number), number)
        for _ in range(500):
            if made.lost == 5:
                break
            time.sleep(0.01)
        full.clear()
        made.received(PLACE, ["after"], 9.0, 9)
        assert made.close()
    assert (made.lost, made.frames) == (5, 1)
    assert [one.kind for one in entries(tmp_path / "rec")] == ["lost", "received"]
    assert sum("No space left" in text for text in caplog.messages) == 1
    assert "takes frames again; 5 are missing" in caplog.text


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> SecretMask:
    mask = SecretMask()
    monkeypatch.setattr("k2conn.recording.entries.SECRETS", mask)
    return mask


def test_secrets_are_left_out_and_that_is_said(tmp_path: Path, secrets: SecretMask) -> None:
    secrets.add("very-secret-key")
    made = Recorder(tmp_path / "rec")
    made.start()
    made.sent(PLACE, '{"op": "login", "key": "very-secret-key"}', 1.0, 1)
    made.received(PLACE, [b'{"your": "very-secret-key"}', "fine"], 2.0, 2)
    made.answered(PLACE, 0, {"token": "very-secret-key"}, 3.0, 3)
    assert made.close()
    (path,) = files_of(tmp_path / "rec")
    with path.open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    assert b"very-secret-key" not in text
    assert [one.masked for one in entries(tmp_path / "rec")] == [True, True, False, True]


def test_an_observer_that_fails_is_taken_off(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Observer):
        def looked(self, connector: str, wall: int) -> None:
            raise ZeroDivisionError

    told: list[int] = []

    class Fine(Observer):
        def looked(self, connector: str, wall: int) -> None:
            told.append(wall)

    observers = Observers(Broken(), Fine())
    observers.tell(Observer.looked, "venue", 1)
    observers.tell(Observer.looked, "venue", 2)
    assert told == [1, 2]
    assert caplog.text.count("is taken off") == 1


def test_what_is_a_recording(tmp_path: Path) -> None:
    record(tmp_path / "rec", [["a"]])
    (tmp_path / "plain.jsonl").write_text('{"kind": "received"}\n')
    (tmp_path / "other.zst").write_bytes(zstandard.compress(b"{}\n"))
    assert is_recording(tmp_path / "rec")
    assert not any(is_recording(tmp_path / name) for name in ("plain.jsonl", "other.zst", "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="holds no recording"):
        Recording([tmp_path / "empty"])


def test_what_the_end_did_not_wait_for_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(RecordingFolder, "write", lambda self, *block: gate.wait(10))
    monkeypatch.setattr(recorder, "CLOSE_WITHIN", 0.1)
    made = Recorder(tmp_path / "rec")
    made.start()
    made.received(PLACE, ["x" * 300_000], 1.0, 1)
    made.received(PLACE, ["y"], 2.0, 2)
    assert not made.close()
    assert made.lost == 2
    gate.set()
