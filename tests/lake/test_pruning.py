"""What a question does not read: known manifests, tables that did not change, row groups of other symbols."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from k2conn.lake.catalog import open_catalog
from k2conn.lake.maintenance import Lake
from k2conn.lake.reader import LakeReader
from k2conn.lake.selection import Selection
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import PROPERTIES
from tests.support.databases import candle, numbered
from tests.support.lakes import lake, rows, writer

LIMIT = "write.parquet.row-group-limit"


def test_a_manifest_is_read_once_and_a_table_that_did_not_change_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.manifest import ManifestFile

    settings = lake(tmp_path)
    one, other = writer(settings), writer(settings, "candles")
    for number in range(5):
        one.append(rows(one, [numbered(number)]))
    other.append(rows(other, [candle(1)]))
    reader = LakeReader(settings)
    read, loaded = [], []
    entries, load = ManifestFile.fetch_manifest_entry, reader._catalog.load_table

    def counted(manifest: Any, *words: Any, **more: Any) -> Any:
        read.append(manifest.manifest_path)
        return entries(manifest, *words, **more)

    def told(name: Any) -> Any:
        loaded.append(name[-1])
        return load(name)

    monkeypatch.setattr(reader._catalog, "load_table", told)
    reader.refresh()
    assert not loaded
    one.append(rows(one, [numbered(5)]))
    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", counted)
    reader.refresh()
    assert loaded == ["trades_v2"]
    assert len(read) == 1
    found = reader.records("trades")["source_sequence"].to_pylist()
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert len(reader.records("candles")) == 1


def test_a_table_that_is_dropped_or_made_meanwhile_is_noticed(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    one.append(rows(one, [numbered(1)]))
    reader = LakeReader(settings)
    assert list(reader.kinds) == ["trades"]
    other = writer(settings, "candles")
    other.append(rows(other, [candle(1)]))
    open_catalog(settings).drop_table((settings.namespace, "trades_v2"))
    reader.refresh()
    assert list(reader.kinds) == ["candles"]
    again = writer(settings)
    again.append(rows(again, [numbered(2)]))
    reader.refresh()
    assert reader.records("trades")["source_sequence"].to_pylist() == [2]


@pytest.mark.deploy
@pytest.mark.parametrize("said", [PROPERTIES[LIMIT], "20000", None])
def test_row_groups_are_small_also_in_tables_that_do_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    settings = lake(tmp_path, dedupe=False)
    writer(settings)
    table = open_catalog(settings).load_table((settings.namespace, "trades_v2"))
    with table.transaction() as change:
        if said is None:
            change.remove_properties(LIMIT)
        else:
            change.set_properties({LIMIT: said})
    most = int(said or PROPERTIES[LIMIT])
    one = writer(settings)
    for first in (0, 40_000):
        one.append(rows(one, _numbered(first)))
    assert _groups(settings) == [most, 40_000 - most] * 2
    the = Lake(settings, ["trades"])
    (shape,) = the.shapes.values()
    assert the.compact(shape, lambda line: None) == (2, 1)
    newest = max(settings.folder.rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    found = parquet.read_metadata(newest)
    sizes = [found.row_group(at).num_rows for at in range(found.num_row_groups)]
    assert sum(sizes) == 80_000
    assert max(sizes) == most
    at = next(at for at in range(found.num_columns) if found.row_group(0).column(at).path_in_schema == "symbol")
    spans = [found.row_group(group).column(at).statistics for group in range(found.num_row_groups)]
    assert sum(one.min <= "S05" <= one.max for one in spans) == 1
    assert len(LakeReader(settings).records("trades", Selection(symbol="S05"))) == 2000


@cache
def _numbered(first: int) -> list[Any]:
    """Trades of forty symbols."""
    return [numbered(first + at, symbol=f"S{at % 40:02}") for at in range(40_000)]


def _groups(settings: LakeSettings) -> list[int]:
    """Rows of all row groups, file by file."""
    found = [parquet.read_metadata(path) for path in settings.folder.rglob("*.parquet")]
    return [one.row_group(at).num_rows for one in found for at in range(one.num_row_groups)]
