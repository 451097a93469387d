"""The same questions to each store: filters, order, pages, exact numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from k2conn.envelope import Envelope
from k2conn.lake.catalog import open_catalog
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import known_shapes
from k2conn.lake.writer import TableWriter
from tests.servers.postgres import Database
from tests.support.api import BEGIN, Serving, some_candles, some_trades, written
from tests.support.databases import drive, numbered
from tests.support.sinks import Book

STORES = ("files", "lake", "postgres")
Write = Callable[[Sequence[Envelope]], None]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Serving, Write]]:
    """A server with 40 trades and some candles behind it, and how more get there."""
    serving, write = STORE[request.param](request, tmp_path)
    write([*some_trades(0, 39), *some_candles()])
    with serving() as running:
        yield running, write


def _files(request: pytest.FixtureRequest, folder: Path) -> tuple[Callable[[], Serving], Write]:
    data = folder / "data"
    return lambda: Serving(folder, "--folder", data), lambda envelopes: written(data, envelopes)


def _postgres(request: pytest.FixtureRequest, folder: Path) -> tuple[Callable[[], Serving], Write]:
    database: Database = request.getfixturevalue("database")

    def write(envelopes: Sequence[Envelope]) -> None:
        async def put(sink: Any) -> None:
            sink.put_all(envelopes)
            assert not await sink.flush(10)

        drive(database.dsn, Book(), put)

    return lambda: Serving(folder, "--store", "postgres", K2_POSTGRES_DSN=database.dsn), write


def _lake(request: pytest.FixtureRequest, folder: Path) -> tuple[Callable[[], Serving], Write]:
    settings = LakeSettings(folder=folder / "lake")
    catalog, shapes, writers = open_catalog(settings), known_shapes(settings), {}

    def write(envelopes: Sequence[Envelope]) -> None:
        for kind, name in (("trades", "trade"), ("candles", "candle")):
            batch = [one for one in envelopes if one.schema is not None and one.schema.name == name]
            if batch and kind not in writers:
                writers[kind] = TableWriter(catalog, settings, shapes[kind])
                writers[kind].open()
            if batch:
                schema = batch[0].schema
                assert schema is not None
                writers[kind].append(writers[kind].format.of_records(schema, [one.value for one in batch]))

    return lambda: Serving(folder, "--store", "lake", K2_LAKE_FOLDER=str(folder / "lake")), write


STORE = {"files": _files, "lake": _lake, "postgres": _postgres}


def test_pages_of_records(store: tuple[Serving, Write]) -> None:
    serving, write = store
    page = serving.get("/v1/trades", limit=3)
    assert page.status == 200, page.body
    assert page.ids == ["X-39", "X-38", "X-37"]
    first = page.json["data"][0]
    assert first["price"] == "64000.10000039"
    assert first["quantity"] == "0.25"
    assert first["timestamp"] == "2026-01-02T03:03:58.000000Z"
    assert first["ingestion_timestamp"] == "2026-01-02T03:04:05.700000Z"
    assert first["vendor_data"] == {"ord_type": "limit", "b": "ü"}
    assert first["trade_conditions"] == ["@", "T"]
    assert first["platform_sequence"] is None
    # -- filters, in any case of letters where records have capitals
    assert serving.get("/v1/trades", symbol="ETHEUR", side="buy", currency="eur", limit=2).ids == ["X-37", "X-33"]
    assert serving.get("/v1/trades", exchange="y", limit=3).ids == ["X-39", "X-38", "X-37"]
    assert serving.get("/v1/trades", exchange="x", limit=1).ids == ["X-35"]
    assert serving.get("/v1/trades", symbol="NONE").ids == []
    between = {"since": "2026-01-02T03:03:30Z", "until": "2026-01-02T14:03:34.000001+11:00"}
    assert serving.get("/v1/trades", **between).ids == ["X-15", "X-14", "X-13", "X-12", "X-11", "X-10"]
    # -- pages stay what they are while records come; two records of one time are told apart
    ids, cursor = [], None
    for number in range(20):
        more = {"cursor": cursor} if cursor else {}
        page = serving.get("/v1/trades", limit=7, symbol="BTCUSD", **more)
        ids += page.ids
        cursor = page.json["next"]
        if number == 0:
            write(some_trades(40, 45))
        if cursor is None:
            break
    assert ids == [f"X-{number}" for number in range(38, -1, -2)]
    end = time.monotonic() + 60
    while serving.get("/v1/trades", limit=1).ids != ["X-45"]:  # files are looked at now and then
        assert time.monotonic() < end
        time.sleep(0.1)
    ids, cursor = [], ""
    while cursor is not None:
        page = serving.get("/v1/trades", limit=4, **({"cursor": cursor} if cursor else {}))
        ids += page.ids
        cursor = page.json["next"]
    assert ids == [f"X-{number}" for number in range(45, -1, -1)]
    # -- a cursor of another question, a changed one, and noise
    cursor = serving.get("/v1/trades", limit=2).json["next"]
    for odd in ({"cursor": cursor, "symbol": "BTCUSD"}, {"cursor": cursor[:-2]}, {"cursor": "ü"}, {"cursor": ""},
                {"cursor": cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]}, {"cursor": "A" * 201}):
        answer = serving.get("/v1/trades", limit=2, **odd)
        assert answer.status == 422, odd
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["errors"][0]["name"] == "cursor"
    assert serving.get("/v1/quotes", cursor=cursor).status == 422


DAY_US = 86_400_000_000
MIDNIGHT = BEGIN // DAY_US * DAY_US


def test_what_was_traded_on_a_day(store: tuple[Serving, Write]) -> None:
    """Against the trades themselves, summed here."""
    serving, write = store
    edges = (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY_US - 1, MIDNIGHT + DAY_US)
    write([numbered(100 + at, timestamp=time_us, exchange="X", symbol="BTCUSD", currency="USD", price=at + 1)
           for at, time_us in enumerate(edges)])
    time.sleep(1.5)  # what the lake has is looked for every second
    day = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-03T00:00:00Z"}
    expected = []
    for exchange in ("X", "Y"):
        trades = serving.get("/v1/trades", symbol="BTCUSD", exchange=exchange, limit=1000, **day).json["data"]
        prices = [Decimal(one["price"]) for one in trades]
        ends = {"first": trades[-1]["timestamp"], "last": trades[0]["timestamp"], "open": trades[-1]["price"],
                "close": trades[0]["price"], "high": format(max(prices), "f"), "low": format(min(prices), "f")}
        quantity = sum(Decimal(one["quantity"]) for one in trades)
        expected.append({"exchange": exchange, "currency": "USD", **ends, "trades": len(trades), "quantity": quantity})
    found = serving.get("/v1/summary/BTCUSD/2026-01-02").json
    assert (found["symbol"], found["date"]) == ("BTCUSD", "2026-01-02")
    assert [{**one, "quantity": Decimal(one["quantity"])} for one in found["data"]] == expected
    assert [one["trades"] for one in found["data"]] == [12, 10]
    only = serving.get("/v1/summary/BTCUSD/2026-01-02", exchange="y", currency="usd").json["data"]
    assert only == found["data"][1:]
    for nothing in ("/v1/summary/BTCUSD/2026-01-02?currency=EUR", "/v1/summary/NONE/2026-01-02",
                    "/v1/summary/BTCUSD/0001-01-01", "/v1/summary/BTCUSD/9999-12-31"):
        assert serving.get(nothing).json["data"] == [], nothing
    for wrong in ("2026-02-30", "2026-1-2", "1767323000", "today"):
        assert serving.get(f"/v1/summary/BTCUSD/{wrong}").status == 422


def test_states_and_the_overview(store: tuple[Serving, Write]) -> None:
    serving, _ = store
    page = serving.get("/v1/candles", interval="1m")
    assert [(one["open_time"][14:16], one["close"], one["is_closed"]) for one in page.json["data"]] == [
        ("06", "64100.00000005", True), ("05", "64100", True), ("04", "64100", True),
    ]
    assert page.json["data"][0]["taker_buy_base"] == "1"
    assert serving.get("/v1/ohlcv/1m", symbol="BTCUSD").json == page.json
    assert len(serving.get("/v1/ohlcv/5m").json["data"]) == 1
    assert serving.get("/v1/ohlcv/odd").status == 422
    batch = serving.get("/v1/ohlcv/batch", method="POST", headers={"Content-Type": "application/json"},
                        body=b'[{"symbol": "BTCUSD", "limit": 1}, {"symbol": "BTCUSD", "interval": "5m"}, '
                             b'{"symbol": "NONE"}]')
    assert [len(one) for one in batch.json["data"]] == [1, 1, 0]
    assert serving.get("/v1/ohlcv/health").json["last"] == "2026-01-02T03:07:00.000000Z"
    symbols = {(one["symbol"], one["exchange"]): one for one in serving.get("/v1/symbols").json["data"]}
    assert set(symbols) == {("BTCUSD", "X"), ("BTCUSD", "Y"), ("ETHEUR", "X"), ("ETHEUR", "Y")}
    assert sorted(symbols["BTCUSD", "X"]["kinds"]) == ["candles", "trades"]
    assert symbols["ETHEUR", "Y"]["currency"] == "EUR"
    assert symbols["ETHEUR", "Y"]["last"] == "2026-01-02T03:03:58.000000Z"
    assert len(serving.get("/v1/symbols", currency="eur").json["data"]) == 2
    kinds = {one["kind"]: one for one in serving.get("/v1/stats").json["kinds"]}
    assert kinds["trades"]["first"] == "2026-01-02T03:03:20.000000Z"
    assert kinds["trades"]["rows"] == 40 or not kinds["trades"]["exact"]
    assert serving.get("/v1/gaps").json == {"data": [], "next": None}
    assert serving.get("/v1/quotes").json == {"data": [], "next": None}
    recent = serving.get("/v1/trades/recent")
    assert recent.json == {"data": [], "live": False}, "they are old"
    assert serving.get("/health").json["status"] == "ok"
