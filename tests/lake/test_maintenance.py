"""Compaction, expiry and the removal of orphans: no row changes, and nothing that is needed goes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from k2conn.errors import SettingsError
from k2conn.lake.maintenance import Lake
from k2conn.lake.settings import LakeSettings
from tests.support.databases import numbered
from tests.support.lakes import lake, read, rows, writer

ALL = "SELECT count(*), count(DISTINCT message_id), sum(price), sum(source_sequence) FROM trades"
HOUR = 3_600_000


@pytest.fixture
def settings(tmp_path: Path) -> LakeSettings:
    """A lake with a table of 20 files of two exchanges."""
    found = lake(tmp_path)
    one = writer(found)
    for number in range(10):
        some = [numbered(number * 10 + at, exchange="AB"[at % 2]) for at in range(10)]
        one.append(rows(one, some), {("t", 0): number})
    return found


def aged(settings: LakeSettings, hours: int) -> list[Path]:
    """All files of the lake, made as old as that."""
    found = [path for path in settings.folder.rglob("*") if path.is_file() and path.suffix != ".db"]
    for path in found:
        os.utime(path, (time.time() - hours * 3600,) * 2)
    return found


def test_small_files_become_large_and_rows_and_offsets_stay(settings: LakeSettings) -> None:
    told: list[str] = []
    before = read(settings, ALL)
    the = Lake(settings, ["trades"])
    (shape,) = the.shapes.values()
    assert the.compact(shape, told.append, dry_run=True) == (20, 2)
    assert the.stats()[0].files == 20
    assert the.compact(shape, told.append) == (20, 2)
    assert the.stats()[0].files == 2
    assert "trades_v2: 1 of 2: 10 files, 50 rows" in told
    assert read(settings, ALL) == before
    assert writer(settings).committed_offsets() == {("t", 0): 9}
    assert the.compact(shape, told.append) == (0, 0)


@pytest.mark.deploy
def test_compaction_beside_a_writer_loses_and_doubles_nothing(settings: LakeSettings) -> None:
    stop = threading.Event()
    counts = [100]

    def work() -> None:
        one = writer(settings)
        while not stop.is_set():
            one.append(rows(one, [numbered(counts[0] + at) for at in range(10)]))
            counts[0] += 10
            time.sleep(0.7)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        the = Lake(settings, ["trades_v2"])
        for _ in range(3):
            for shape in the.shapes.values():
                the.compact(shape, lambda line: None)
    finally:
        stop.set()
        thread.join()
    assert counts[0] > 100
    assert read(settings, ALL)[0][:2] == (counts[0],) * 2


@pytest.mark.deploy
def test_a_compaction_whose_commit_takes_long_gets_through_beside_a_writer_that_never_pauses(
    settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a table of many manifests, say. Offsets that the writer commits meanwhile stay the latest."""
    from pyiceberg.table import Transaction

    stop, counts, commit, own = threading.Event(), [0], Transaction.commit_transaction, threading.get_ident()

    def slow(transaction: Transaction) -> object:
        appends = any(type(one).__name__ == "AddSnapshotUpdate" for one in transaction._updates)
        if appends and threading.get_ident() == own:
            time.sleep(0.7)
        return commit(transaction)

    def work() -> None:
        one = writer(settings)
        while not stop.is_set():
            counts[0] += 1
            one.append(rows(one, [numbered(1000 + counts[0])]), {("t", 0): 1000 + counts[0]})

    thread = threading.Thread(target=work)
    thread.start()
    monkeypatch.setattr(Transaction, "commit_transaction", slow)
    try:
        the = Lake(settings, ["trades"])
        (shape,) = the.shapes.values()
        assert the.compact(shape, lambda line: None)[0] >= 20
    finally:
        stop.set()
        thread.join()
    assert read(settings, ALL)[0][:2] == (100 + counts[0],) * 2
    assert writer(settings).committed_offsets() == {("t", 0): 1000 + counts[0]}


def test_only_what_no_snapshot_needs_is_removed_and_only_when_it_is_old(settings: LakeSettings) -> None:
    before = read(settings, ALL)
    the = Lake(settings)
    shape = the.shapes["trades"]
    orphan = next(settings.folder.rglob("*.parquet")).parent / "half-written.parquet"
    orphan.write_bytes(b"PAR1")
    the.compact(shape, lambda line: None)
    assert the.clean(shape, HOUR, lambda line: None).files == 0
    assert the.expire(shape, 1, 0, dry_run=True) > 5
    assert the.expire(shape, 1, 0) > 5
    aged(settings, 5)
    the.clean(shape, HOUR, lambda line: None, dry_run=True)
    assert orphan.exists()
    done = the.clean(shape, HOUR, lambda line: None)
    assert done.files > 20
    assert done.bytes > 0
    assert not orphan.exists()
    assert len(list(settings.folder.rglob("*.parquet"))) == 2
    assert read(settings, ALL) == before
    one = writer(settings)
    one.append(rows(one, [numbered(1000)]), {("t", 0): 10})
    assert read(settings, "SELECT count(*) FROM trades") == [(101,)]


def test_young_files_are_never_removed_and_unknown_tables_are_named(settings: LakeSettings) -> None:
    the = Lake(settings)
    with pytest.raises(SettingsError, match="say 1h or more"):
        the.clean(the.shapes["trades"], 1000, lambda line: None)
    with pytest.raises(SettingsError, match="there is no table trade in the lake; did you mean 'trades'"):
        Lake(settings, ["trade"])
