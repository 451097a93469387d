"""Records of several revisions in one table of the lake, and tables that were made before the later ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k2conn import native
from k2conn.errors import SinkError
from k2conn.lake.catalog import open_catalog
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import Shape, known_shapes, make_table
from k2conn.records import load_record
from tests.support.databases import candle, numbered
from tests.support.grown import grown_trade, one_sided, priced, whole_quote
from tests.support.lakes import drive, lake, read
from tests.support.sinks import Book


def put(settings: LakeSettings, *envelopes: Any) -> Book:
    book = Book()

    async def work(sink: Any) -> None:
        for envelope in envelopes:
            sink.put(envelope)
        assert await sink.flush(60) == 0

    drive(settings, book, work)
    return book


def old_shape(settings: LakeSettings, kind: str) -> Shape:
    shape = known_shapes(settings)[kind]
    return replace(shape, fields=shape.earlier[0], earlier=())


@pytest.fixture(params=["C", "Python"])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python":
        monkeypatch.setattr(native, "columns", None)
    elif native.columns is None:
        pytest.fail("the part in C is not there")


def test_records_of_all_revisions_are_rows_of_one_table(tmp_path: Path, columns: None) -> None:
    settings = lake(tmp_path)
    book = put(settings, numbered(1), grown_trade(2), numbered(3), grown_trade(4, revision=3, asset_class="index"),
               one_sided(5), whole_quote(6), whole_quote(7, 2), priced(8), candle(9))
    assert not book.rejected, book.words
    assert len(book.settled) == 9
    new = ("venue, trade_action, reference_trade_id, timestamp_nanos, underlying, expiry::VARCHAR, strike::VARCHAR, "
           "option_right, multiplier::VARCHAR")
    grown = ("XNAS", "CORRECT", "X-7", 789, "SPY", "2025-12-18", "650.00000000", "PUT", "100.00000000")
    assert read(settings, f"SELECT {new} FROM trades ORDER BY trade_id") == [
        (None,) * 9, grown, (None,) * 9, grown,
    ]
    assert read(settings, "SELECT asset_class, bid_price::VARCHAR, ask_price IS NULL, quote_conditions FROM quotes "
                          "ORDER BY quote_id", "quotes") == [
        ("forex", "1.15235000", True, ["R", "X"]), ("crypto", "1.15235000", False, None),
        ("crypto", "1.15235000", False, ["R", "X"]),
    ]
    assert read(settings, "SELECT symbol, price::VARCHAR, price_type FROM prices", "prices") == [
        ("SPX", "-0.50000000", "INDEX")
    ]


def test_a_table_of_before_gets_the_new_columns_and_keeps_its_files(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    catalog = open_catalog(settings)
    for kind in ("trades", "quotes"):
        assert make_table(catalog, settings, old_shape(settings, kind))
    put(replace(settings, create=False), numbered(1), whole_quote(1))
    assert "venue" not in catalog.load_table((settings.namespace, "trades_v2")).schema().column_names
    book = put(settings, numbered(2))
    assert not book.rejected, book.words
    # -- of files that have none of the new columns
    assert read(settings, "SELECT trade_id, venue FROM trades WHERE trade_id = 'X-1'") == [("X-1", None)]
    book = put(settings, grown_trade(3), one_sided(4))
    assert not book.rejected, book.words
    assert read(settings, "SELECT trade_id, venue FROM trades ORDER BY 1") == [
        ("X-1", None), ("X-2", None), ("X-3", "XNAS")
    ]
    assert read(settings, "SELECT quote_id, ask_price IS NULL FROM quotes ORDER BY 1", "quotes") == [
        ("X-1", False), ("X-4", True)
    ]
    # -- what comes again is found, whichever revision it is of
    book = put(settings, numbered(1), grown_trade(3), numbered(5))
    assert read(settings, "SELECT count(*) FROM trades") == [(4,)]


def test_without_leave_the_old_records_go_on_and_new_ones_are_refused(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    make_table(open_catalog(settings), settings, old_shape(settings, "trades"))
    kept = replace(settings, create=False)
    book = put(kept, numbered(1), grown_trade(2), numbered(3))
    assert len(book.settled) == 2
    assert [reason for _, reason in book.rejected] == ["refused-by-sink"]
    assert "another schema than the table trades_v2 has" in book.words[0]


def test_a_table_of_another_shape_is_left_as_it_is(tmp_path: Path) -> None:
    settings = lake(tmp_path)
    shape = old_shape(settings, "trades")
    catalog = open_catalog(settings)
    make_table(catalog, settings, replace(shape, fields=tuple(one for one in shape.fields if one.name != "side")))

    async def prepare(sink: Any) -> None:
        await sink.prepare({"t": load_record("trade", 2).schema})

    with pytest.raises(SinkError, match="side is missing"):
        drive(settings, Book(), prepare)
    assert "venue" not in catalog.load_table((settings.namespace, "trades_v2")).schema().column_names
