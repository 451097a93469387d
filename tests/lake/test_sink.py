"""The lake sink: accounts of what it was given, a catalog that is away, what it refuses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import load_schema
from k2conn.errors import SettingsError, SinkError, Unreachable
from k2conn.lake.settings import LakeSettings
from tests.support.databases import candle, numbered
from tests.support.lakes import drive, lake, read
from tests.support.sinks import Book, dead

TOPICS = {"t": load_schema("trade"), "t.dlq": None}


def test_records_of_all_kinds_are_settled_once_they_are_in_their_tables(tmp_path: Path) -> None:
    settings, book = lake(tmp_path), Book()

    async def work(sink: Any) -> None:
        await sink.prepare(TOPICS)
        for number in range(500):
            sink.put(numbered(number))
        sink.put(candle(1))
        sink.put(dead(1, "t.dlq"))
        assert not book.settled
        assert await sink.flush(60) == 0

    drive(settings, book, work)
    assert len(book.settled) == 502
    assert [one.timestamp_ms for one in book.settled if one.schema and one.schema.name == "trade"]
    assert read(settings, "SELECT count(*) FROM trades") == [(500,)]
    assert read(settings, "SELECT topic, document FROM dead_letters", "dead_letters")[0][0] == "t.dlq"


def test_a_body_that_is_none_is_one_dead_letter_and_its_neighbours_go(tmp_path: Path) -> None:
    settings, book = lake(tmp_path), Book()

    async def work(sink: Any) -> None:
        for number in range(20):
            one = numbered(number)
            sink.put(one._replace(value=b"\x02x") if number == 13 else one)
        assert await sink.flush(60) == 0

    drive(settings, book, work)
    assert len(book.settled) == 19
    assert [reason for _, reason in book.rejected] == ["refused-by-sink"]
    assert "is not a trade record" in book.words[0]
    assert read(settings, "SELECT count(*) FROM trades") == [(19,)]


def test_a_table_that_must_not_be_made_is_missed_at_start(tmp_path: Path) -> None:
    settings, book = lake(tmp_path, retries=0, create=False), Book()
    with pytest.raises(SinkError, match=r"there is no table market_data\.trades_v2, and K2_LAKE_CREATE=false"):
        drive(settings, book, lambda sink: sink.prepare(TOPICS))


def test_a_catalog_that_is_away_is_told_with_its_address_in_time(tmp_path: Path) -> None:
    settings = LakeSettings(catalog="http://127.0.0.1:9", warehouse="w", open_timeout_ms=1500)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"lake http://127\.0\.0\.1:9 w: connection refused"):
        drive(settings, Book(), lambda sink: sink.flush(1))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"commit_rows": 0}, "commit_rows=0 is not above 0"),
        ({"vendor_data": "xml"}, "vendor_data='xml': known are map, json"),
        ({"catalog": "http://example.com", "token": "x"}, "catalog= is http:// on another machine"),
        ({"catalog": "https://u:geheim@example.com"}, "catalog= holds a password"),
        ({"warehouse": "s3://x"}, "warehouse= is for a REST catalog"),
        ({"s3_access_key_id": "x"}, "go together"),
        ({"table": "trades"}, "table='trades': small letters"),
        ({"namespace": "a.b"}, "namespace='a.b'"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LakeSettings(**given)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    settings = LakeSettings(
        catalog="https://example.com", token="geheim", s3_access_key_id="a", s3_secret_access_key="geheim"
    )
    assert "geheim" not in repr(settings)
