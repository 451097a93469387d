"""Times, cursors, rates, settings and listeners, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.api.asked import Asked
from k2conn.api.cursors import Cursors
from k2conn.api.live.hub import Hub, merged
from k2conn.api.parameters import read_time
from k2conn.api.problems import RequestRefused
from k2conn.api.rates import Rates, client_of
from k2conn.api.settings import ApiSettings
from k2conn.api.wire import Wording, time_text
from k2conn.errors import SettingsError
from k2conn.records import load_record

TRADE = load_record("trade")


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"message_id": f"{number:036}", "timestamp": number, "symbol": "A", "side": "BUY", **fields}


# -- times


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-02T03:04:05.678901Z", 1_767_323_045_678_901),
        ("2026-01-02t14:04:05.6789019+11:00", 1_767_323_045_678_901),
        ("2026-01-02 03:04:05.1-00:30", 1_767_324_845_100_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800_000_000 - 86_340_000_000),
    ],
)
def test_times_with_their_zone_are_read_to_the_microsecond(text: str, micros: int) -> None:
    assert read_time(text) == micros


@pytest.mark.parametrize(
    "text", ["", "2026-01-02", "2026-01-02T03:04:05", "1767323045", "2026-13-02T03:04:05Z", "2026-02-30T00:00:00Z",
             "2026-01-02T03:04:05 00:00", "2026-01-02T25:04:05Z", "\uff12026-01-02T03:04:05Z", "now"],
)
def test_nothing_else_is_guessed_to_be_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"time"):
        read_time(text)


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_time_that_is_written_is_read_as_itself(micros: int) -> None:
    assert read_time(time_text(micros)) == micros


# -- cursors


@given(st.integers(-2**63, 2**63 - 1), st.text("0123456789abcdef-", max_size=36))
def test_a_cursor_is_read_as_it_was_written_and_by_its_own_question_only(time: int, name: str) -> None:
    cursors, asked = Cursors("key"), Asked(record=TRADE, texts={"symbol": "A"}, since=1)
    text = cursors.write(asked, (time, name))
    assert cursors.read(asked, text) == (time, name)
    for other, reader in ((Asked(record=TRADE, since=1), cursors), (asked, Cursors("other"))):
        with pytest.raises(ValueError, match="no cursor of this question"):
            reader.read(other, text)


@given(st.text(max_size=200))
def test_noise_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Cursors(None).read(Asked(record=TRADE), text)


# -- rates


def test_a_bucket_has_so_many_tokens_and_fills_evenly() -> None:
    rates = Rates(60)
    assert [rates.wait("a", 100.0) for _ in range(60)] == [0] * 60
    assert rates.wait("a", 100.0) == 1
    assert rates.wait("b", 100.0) == 0, "another client"
    assert rates.wait("a", 101.0) == 0
    assert rates.wait("a", 101.5) == 0.5
    assert Rates(0).wait("a", 0) == 0


def test_clients_that_are_remembered_are_bounded_and_a_network_is_one_client() -> None:
    rates = Rates(1, clients=3)
    for number in range(10):
        assert rates.wait(str(number), 0.0) == 0
    assert len(rates._buckets) == 3
    assert client_of("2001:db8:1:2:3::1") == client_of("2001:db8:1:2::9") != client_of("2001:db8:1:3::1")
    assert client_of("::ffff:10.0.0.1") == client_of("10.0.0.1") == "10.0.0.1"


# -- settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "can be reached by others"),
        ({"host": "::"}, "can be reached by others"),
        ({"key": "short"}, "16 or more"),
        ({"key": "ü" * 20}, "16 or more"),
        ({"store": "lakes"}, "did you mean 'lake'"),
        ({"queries": 0}, "queries=0"),
        ({"most_rows": 10_001}, "most_rows=10001"),
        ({"allowed_origins": ("https://a/b",)}, "is no origin"),
        ({"allowed_origins": ("*",)}, "is no origin"),
        ({"allowed_hosts": ("a b",)}, "is no host"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ApiSettings(**given)


def test_the_key_is_in_no_repr() -> None:
    assert "0123456789abcdef" not in repr(ApiSettings(key="0123456789abcdef"))
    assert ApiSettings(host="::1").here
    assert not ApiSettings(host="10.0.0.1", key="0123456789abcdef").here


# -- listeners


def test_each_record_is_handed_out_once_to_those_it_is_for_and_one_that_is_behind_goes() -> None:
    async def run() -> None:
        hub = Hub([TRADE], 2, 3)
        hub.know([row(1)["message_id"]])
        buys, every = Asked(record=TRADE, texts={"side": "BUY"}), Asked(record=TRADE)
        with hub.listening(buys) as one, hub.listening(every) as two:
            with pytest.raises(RequestRefused), hub.listening(Asked(record=TRADE)):
                pass
            rows = [row(number, side="BUY" if number % 2 else "SELL") for number in range(1, 8)]
            assert hub.publish("trades", rows) == 6
            assert hub.publish("trades", rows) == 0
            assert hub.publish("nothing", rows) == 0
            assert (one.behind, two.behind, hub.dropped) == (False, True, 1)
            heard = [live async for live in one.records(0.01) if live is not None or hub.end() is not None]
            assert [int(live.id) for live in heard if live] == [3, 5, 7]
            assert [live async for live in two.records(0.01)] == [], "no more for one that is behind"
        assert hub.listeners == 0

    asyncio.run(run())


def test_live_records_and_stored_ones_are_each_there_once_and_the_newest_first() -> None:
    asked = Asked(record=TRADE, limit=3)
    found = merged([row(1), row(2, price="stored")], [row(2, price="live"), row(3), row(4)], asked, ("message_id",))
    assert [(one["timestamp"], one.get("price")) for one in found] == [(4, None), (3, None), (2, "stored")]


def test_a_field_that_a_store_lacks_is_null() -> None:
    document = Wording(TRADE).document(row(1_767_323_045_678_901))
    assert document["timestamp"] == "2026-01-02T03:04:05.678901Z"
    assert document["vendor_data"] is None
    assert set(document) == {field.name for field in TRADE.schema.fields}
