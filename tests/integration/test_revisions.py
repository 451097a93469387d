"""Records of later revisions as a user has them: whole processes, from frames to files, and asked for again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from websockets.sync.server import ServerConnection, serve

from k2conn.avro.reading import read_container
from tests.integration.test_run import environment, run
from tests.paths import ROOT
from tests.support import warm_process

DAY = "2026-01-02T15:51:44"
QUOTES = [
    {"symbol": "EURUSD", "ts": "1767369104123", "bid": 1.15235, "ask": 1.15236, "mid": 1.152355},
    {"symbol": "EURUSD", "ts": "1767369104223", "bid": 1.15236, "ask": 1.15237, "mid": 1.152365},
]
TRADES: list[dict[str, Any]] = [
    {"T": "t", "i": 7, "S": "AAPL", "x": "V", "p": 300.5, "s": 2, "t": f"{DAY}.208123456Z", "c": ["@"], "z": "C"},
    {"T": "t", "i": 7, "S": "AAPL", "x": "K", "p": 300.5, "s": 2, "t": f"{DAY}.208123456Z", "c": ["@"], "z": "C"},
    {"T": "x", "i": 7, "S": "AAPL", "x": "K", "p": 300.5, "s": 2, "t": f"{DAY}.308Z", "a": "C", "z": "C"},
]


@contextmanager
def venue(talk: Sequence[Any]) -> Iterator[str]:
    """The address of a venue that waits for a frame at each None, and sends the others."""

    def speak(socket: ServerConnection) -> None:
        for said in talk:
            if said is None:
                socket.recv()
            else:
                socket.send(said if isinstance(said, str) else json.dumps(said))
        for _ in socket:
            pass

    with serve(speak, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


def written(folder: Path, connector: str, talk: Sequence[Any], most: int, symbol: str, **keys: str) -> list[Any]:
    """The records that a run leaves in files."""
    ran(folder, connector, talk, most, symbol, **keys)
    return [one for path in sorted(folder.rglob("*.avro")) for one in read_container(path)]


def ran(
    folder: Path, connector: str, talk: Sequence[Any], most: int, symbol: str, *more: str, **keys: str
) -> subprocess.CompletedProcess[str]:
    prefix = f"K2_{connector.upper().replace('-', '_')}"
    with venue(talk) as url:
        done = run(
            folder, ROOT / "connectors" / f"{connector}.yaml", "--symbols", symbol, "--sink", "file", "--max-records",
            most, "--duration", "30s", "--port", -1, *more, **{f"{prefix}_WEBSOCKET_URL": url},
            **{f"{prefix}_{name}": value for name, value in keys.items()},
        )
    assert done.returncode == 0, done.stderr
    return done


def asked(folder: Path, sql: str) -> list[dict[str, Any]]:
    done = warm_process.k2conn("query", sql, "--format", "json", "--data", folder, env=environment())
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_quotes_without_sizes_of_a_forex_venue(tmp_path: Path) -> None:
    found = written(tmp_path, "tradermade", ["Connected", None, *QUOTES], 2, "EURUSD", KEY="key")
    assert [(one["asset_class"], one["bid_price"], one["bid_quantity"], one["ask_quantity"]) for one in found] == [
        ("forex", "1.15235", None, None), ("forex", "1.15236", None, None),
    ]
    sql = "SELECT symbol, bid_price, bid_quantity, venue FROM quotes ORDER BY timestamp LIMIT 1"
    assert asked(tmp_path / "data", sql) == [
        {"symbol": "EURUSD", "bid_price": "1.15235000", "bid_quantity": None, "venue": None}
    ]


def test_a_trade_that_is_taken_back(tmp_path: Path) -> None:
    talk = [[{"T": "success", "msg": "connected"}], None, [{"T": "success", "msg": "authenticated"}], None,
            [{"T": "subscription", "trades": ["AAPL"]}], None, [{"T": "subscription", "quotes": ["AAPL"]}], TRADES]
    more = ("--candles", "1m", "--summary", "sum.json")
    done = ran(tmp_path, "alpaca-sip", talk, 3, "AAPL", *more, KEY="key", SECRET="secret")
    assert "alpaca-sip: 1 corrections of trades left out by candles" in done.stdout + done.stderr
    report = json.loads((tmp_path / "sum.json").read_text())["connectors"]["alpaca-sip"]
    assert report["amendments"] == {"candles": 1}
    found = [one for path in sorted(tmp_path.rglob("*.avro")) for one in read_container(path)]
    assert [(one["trade_action"], one["venue"], one["trade_id"], one["reference_trade_id"]) for one in found] == [
        ("NEW", "IEXG", "ALPACA-7", None), ("NEW", "EDGX", "ALPACA-7", None),
        ("CANCEL", "EDGX", "ALPACA-7", "ALPACA-7"),
    ]
    assert [one["timestamp_nanos"] for one in found] == [456, 456, 0]
    assert len({one["message_id"] for one in found}) == 3
