"""Rows in the lake's tables, by real pyiceberg, read back by real DuckDB."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k2conn.errors import SinkError
from k2conn.lake.catalog import make_namespace, open_catalog
from k2conn.lake.rows import RowsRefused
from k2conn.lake.tables import identifier, known_shapes
from k2conn.lake.writer import Appended, OffsetsMoved, expire, offsets_in
from k2conn.records import V2, WIDE, use_decimals
from tests.support.databases import candle, numbered
from tests.support.lakes import lake, read, rows, writer


def test_a_trade_is_read_back_column_by_column(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    assert one.append(rows(one, [numbered(7)])) == Appended(1, 0)
    sql = ("SELECT message_id, trade_id, symbol, exchange, asset_class, epoch_us(timestamp), price, quantity, currency,"
           " side, trade_conditions, source_sequence, epoch_us(ingestion_timestamp), platform_sequence, vendor_data"
           " FROM trades")
    assert read(settings, sql) == [(
        "00000000-0000-0000-0000-000000000007", "X-7", "BTCUSD", "X", "crypto", 1_767_323_045_678_901,
        Decimal("64000.10000000"), Decimal("0.25000000"), "USD", "SELL", ["@", "T"], 7, 1_767_323_045_700_000, None,
        [("ord_type", "limit"), ("b", "ü")],
    )]


@pytest.mark.parametrize("units", [0, 1, -1, 10**18 - 1, -(10**18) + 1])
def test_decimals_are_exact(tmp_path: Path, units: int) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    one.append(rows(one, [numbered(1, price=units)]))
    assert read(settings, "SELECT price FROM trades") == [(Decimal(units).scaleb(-8),)]


def test_a_table_of_large_decimals_takes_both_sizes_and_one_of_small_ones_is_refused(tmp_path: Path) -> None:
    settings, small = lake(tmp_path / "a"), lake(tmp_path / "b")
    narrow = numbered(1)
    writer(small)
    use_decimals(WIDE)
    try:
        one = writer(settings)
        one.append(rows(one, [numbered(2, price=10**38 - 1)]))
        one.append(rows(one, [narrow]))
        with pytest.raises(SinkError, match=r"price is decimal\(18, 8\), not decimal\(38, 18\) or larger; quantity"):
            writer(small)
    finally:
        use_decimals(V2)
    again = writer(settings)
    again.append(rows(again, [numbered(3)]))
    found = read(settings, "SELECT price FROM trades ORDER BY message_id")
    assert found == [(Decimal("64000.1"),), (Decimal("9" * 20 + "." + "9" * 18),), (Decimal("64000.1"),)]


def test_maps_are_json_where_the_settings_or_the_table_say_so(tmp_path: Path) -> None:
    settings = lake(tmp_path, vendor_data="json")
    one = writer(settings)
    one.append(rows(one, [numbered(1)]))
    other = writer(lake(tmp_path))  # the table has it as text already
    other.append(rows(other, [numbered(2)]))
    assert read(settings, "SELECT DISTINCT vendor_data FROM trades") == [('{"ord_type":"limit","b":"ü"}',)]


def test_a_table_of_another_shape_is_refused_with_its_columns(tmp_path: Path) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import DoubleType, NestedField, StringType

    settings = lake(tmp_path)
    catalog, shape = open_catalog(settings), known_shapes(settings)["trades"]
    catalog.create_namespace(settings.namespace)
    catalog.create_table(identifier(settings, shape), Schema(
        NestedField(1, "price", DoubleType(), required=True), NestedField(2, "own", StringType(), required=True),
    ))
    with pytest.raises(SinkError, match=r"price is double, not decimal\(18, 8\) or larger.*own is required and no f"):
        writer(settings)


def test_what_comes_again_is_one_row(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one, other = writer(settings), writer(settings)
    some = [numbered(number % 50, timestamp=1_767_323_045_000_000 + number % 50) for number in range(200)]
    assert one.append(rows(one, some)) == Appended(50, 150)
    assert other.append(rows(other, some)) == Appended(0, 200)
    assert other.append(rows(other, [*some, numbered(99)])) == Appended(1, 200)
    assert read(settings, "SELECT count(*), count(DISTINCT message_id) FROM trades") == [(51, 51)]


def test_repeats_are_found_over_many_days(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    some = [numbered(number, timestamp=1_700_000_000_000_000 + number * 3_600_000_000) for number in range(100)]
    one.append(rows(one, some))
    assert one.append(rows(one, some[::-3])) == Appended(0, 34)


def test_states_of_a_candle_are_rows_and_the_view_has_the_latest(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings, "candles")
    states = [candle(1, is_closed=False, trade_count=5, timestamp=2), candle(1, trade_count=9, timestamp=3), candle(2)]
    assert one.append(rows(one, states)) == Appended(3, 0)
    assert one.append(rows(one, states)) == Appended(0, 3)
    late = candle(1, is_closed=False, trade_count=8, timestamp=4)  # never takes the place of a closed one
    corrected = candle(1, trade_count=10, timestamp=5)
    assert one.append(rows(one, [late])) == Appended(1, 0)
    assert read(settings, "SELECT trade_count FROM candles ORDER BY open_time", "candles") == [(9,), (7,)]
    one.append(rows(one, [corrected]))
    assert read(settings, "SELECT trade_count FROM candles ORDER BY open_time", "candles") == [(10,), (7,)]


def test_a_body_that_is_no_record_is_refused_and_nothing_written(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    with pytest.raises(RowsRefused, match="number 1 is not a trade record"):
        rows(one, [numbered(1), numbered(2)._replace(value=b"\x02x")])


def test_two_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    writer(settings)
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            one = writer(settings)
            for number in range(first, first + 60, 10):
                one.append(rows(one, [numbered(at) for at in range(number, number + 20)]))  # the half of it again
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 30)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not errors
    sql = "SELECT count(*), count(DISTINCT message_id), max(source_sequence) FROM trades"
    assert read(settings, sql) == [(100, 100, 99)]


# -- Kafka's offsets


def test_the_first_tables_of_a_lake_may_be_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded catalog looks for the namespace, then makes it: between the two another writer may have."""
    catalog = open_catalog(lake(tmp_path))
    make_namespace(catalog, "market_data")
    monkeypatch.setattr(catalog, "namespace_exists", lambda *name: False)
    make_namespace(catalog, "market_data")
    assert catalog.list_namespaces() == [("market_data",)]


def test_offsets_go_with_the_rows(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one = writer(settings)
    assert one.committed_offsets() == {}
    one.append(rows(one, [numbered(1)]), {("t", 0): 5})
    one.append(rows(one, [numbered(2)]), {("t", 1): 7})
    one.append(rows(one, [numbered(1)]), {("t", 0): 6})  # a repeat moves them all the same
    assert writer(settings).committed_offsets() == {("t", 0): 6, ("t", 1): 7}


def test_offsets_never_go_back_and_each_group_has_its_own(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    one, other = writer(settings), writer(settings, group="g")
    one.append(rows(one, [numbered(1)]), {("t", 0): 5})
    other.append(rows(other, [numbered(2)]), {("t", 0): 2})
    one.append(rows(one, [numbered(3)]), {("t", 0): 4})
    assert writer(settings).committed_offsets() == one.known_offsets() == {("t", 0): 5}
    assert writer(settings, group="g").committed_offsets() == {("t", 0): 2}


def test_suspects_are_looked_for_where_others_are_not(tmp_path: Path) -> None:
    settings = lake(tmp_path, dedupe=False)
    one = writer(settings)
    one.append(rows(one, [numbered(1), numbered(2)]), {("t", 0): 2})
    done = one.append(rows(one, [numbered(4)]), {("t", 0): 5}, rows(one, [numbered(2), numbered(3)]))
    assert done == Appended(2, 1)
    again = rows(one, [numbered(4)])
    assert one.append(again.slice(0, 0), {("t", 0): 5}, again) == Appended(0, 1)
    assert read(settings, "SELECT source_sequence FROM trades ORDER BY 1") == [(1,), (2,), (3,), (4,)]


def test_a_writer_that_was_overtaken_on_its_partitions_writes_nothing(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    stale, fresh = writer(settings), writer(settings)
    for one in (stale, fresh):
        one.committed_offsets()
    fresh.append(rows(fresh, [numbered(1)]), {("t", 0): 5})
    with pytest.raises(OffsetsMoved, match=r"another writer has committed t\[0\]"):
        stale.append(rows(stale, [numbered(2)]), {("t", 0): 4})
    stale.append(rows(stale, [numbered(3)]), {("t", 1): 1})  # other partitions are its own
    assert stale.committed_offsets() == {("t", 0): 5, ("t", 1): 1}
    assert read(settings, "SELECT source_sequence FROM trades ORDER BY 1") == [(1,), (3,)]


def test_offsets_outlive_commits_of_others_and_the_expiry_of_snapshots(tmp_path: Path) -> None:
    settings = lake(tmp_path, snapshots=3)
    one, shape = writer(settings), known_shapes(settings)["trades"]
    one.append(rows(one, [numbered(0)]), {("t", 0): 5})
    table = open_catalog(settings).load_table(identifier(settings, shape))
    for number in range(1, 5):
        table.append(rows(one, [numbered(number)]))  # knows nothing of offsets
    assert expire(table, 1) == 3
    assert offsets_in(table.refresh()) == {"": {("t", 0): 5}}


def test_a_writer_keeps_snapshots_within_bounds(tmp_path: Path) -> None:
    settings = lake(tmp_path, snapshots=3)
    one: Any = writer(settings)
    for number in range(12):
        one.append(rows(one, [numbered(number)]))
    table = open_catalog(settings).load_table(identifier(settings, one.shape))
    assert len(table.metadata.snapshots) <= 7
    assert read(settings, "SELECT count(*) FROM trades") == [(12,)]
