"""The audit as a process: a venue that drops trades at random, its candles, and its history."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from k2conn.avro.reading import read_container
from tests.integration.test_own_records import k2conn
from tests.integration.test_run import run, started
from tests.support.plans import HEAD
from tests.support.rest import Answer, Asked, rest

SPEC = HEAD + """
connection:
  url: %s
  steps:
    - send: {op: sub, symbols: $symbols}
      for: [trade, candle]
      expect: {accepted: {op: sub, ok: true}, symbol: s}
streams:
  trade:
    when: {ch: trade}
    backfill:
      http: GET %s/trades?symbol={$symbol}&from={$from_ms}&to={$to_ms}
      limit: 50 per 1s
      page: {size: 1000, by: first}
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
  candle:
    intervals: {1s: 1s}
    when: {ch: candle}
    audit: {trades: trade, fields: [volume, quote_volume, trade_count, high, low], settle: 300ms}
    fields:
      symbol: s
      open_time: {from: t, unit: ms}
      open: o
      high: h
      low: l
      close: c
      volume: v
      quote_volume: qv
      trade_count: n
      is_closed: {value: true}
"""
ENOUGH = 5
"""Spans that are certainly damaged, before a run is ended."""


class DroppingVenue:
    """Trades by the clock, of which some are not sent; candles of all; and all in its history, unless it forgets."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.trades: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        """By symbol and second."""
        self.damaged: set[tuple[str, int]] = set()
        self.candles: set[tuple[str, int]] = set()
        self.forget = False
        self.whole = False
        """Whether nothing is damaged any more."""
        self._ids = 0
        self.lock = threading.Lock()

    def talk(self, socket: ServerConnection) -> None:
        symbols = json.loads(socket.recv())["symbols"]
        socket.send(json.dumps({"op": "sub", "ok": True, "s": symbols}))
        second = int(time.time())
        try:
            while True:
                for symbol in symbols:
                    self._trade(socket, symbol)
                time.sleep(0.004)
                if time.time() >= second + 1.05:
                    for symbol in symbols:
                        self._candle(socket, symbol, second)
                    second += 1
        except ConnectionClosed:
            return

    def _trade(self, socket: ServerConnection, symbol: str) -> None:
        with self.lock:
            self._ids += 1
            one = {"ch": "trade", "s": symbol, "i": self._ids, "p": f"{self._chance.randrange(100, 999)}.5",
                   "q": f"0.{self._chance.randrange(1, 10**6)}", "t": time.time_ns() // 1_000_000, "d": "buy"}
            self.trades[symbol, one["t"] // 1000].append(one)
            if not self.whole and self._chance.random() < 0.006:
                self.damaged.add((symbol, one["t"] // 1000))
                return
        socket.send(json.dumps(one))

    def _candle(self, socket: ServerConnection, symbol: str, second: int) -> None:
        rows = self.trades[symbol, second]
        if not rows:
            return
        prices = [Decimal(one["p"]) for one in rows]
        amounts = [Decimal(one["q"]) for one in rows]
        pairs = zip(prices, amounts, strict=True)
        with self.lock:
            self.candles.add((symbol, second))
        socket.send(json.dumps({
            "ch": "candle", "s": symbol, "t": second * 1000, "o": str(prices[0]), "h": str(max(prices)),
            "l": str(min(prices)), "c": str(prices[-1]), "v": str(sum(amounts)), "n": len(rows),
            "qv": str(sum(price * amount for price, amount in pairs)),
        }))

    def judged(self) -> tuple[int, int]:
        """Behind which second, and before which, every symbol's span has a candle that was sent."""
        with self.lock:
            seconds = [second for _, second in self.candles]
        return (min(seconds) + 1, max(seconds) - 1) if seconds else (0, 0)

    def sure(self) -> set[tuple[str, int]]:
        """The damaged spans among those."""
        begun, ended = self.judged()
        with self.lock:
            return {(symbol.replace("-", ""), second) for symbol, second in self.damaged if begun < second < ended}

    def history(self, asked: Asked) -> Answer:
        first, last = int(asked.query["from"]), int(asked.query["to"])
        if self.forget:
            return Answer([])
        with self.lock:
            rows = [one for (symbol, _), some in list(self.trades.items()) if symbol == asked.query["symbol"]
                    for one in some if first <= one["t"] <= last]
        return Answer(sorted(rows, key=lambda one: one["t"]))


@contextmanager
def venue(folder: Path, seed: int, forget: bool) -> Iterator[tuple[DroppingVenue, Path]]:
    made = DroppingVenue(seed)
    made.forget = forget
    with rest(made.history) as history, serve(made.talk, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        spec = folder / "venue.yaml"
        spec.write_text(SPEC % (f"ws://127.0.0.1:{server.socket.getsockname()[1]}", history.url))
        try:
            yield made, spec
        finally:
            server.shutdown()
            thread.join()


def until(holds: Callable[[], bool], within: float = 120) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [one for path in sorted(folder.glob(f"*.{kind}.*/*.avro")) for one in read_container(path)]


@pytest.mark.parametrize(
    ("forget", "workers"), [
        pytest.param(False, 1, id="fetched"),
        pytest.param(True, 1, id="not in the history", marks=pytest.mark.deploy),
        pytest.param(True, 2, id="two processes", marks=pytest.mark.deploy),
    ],
)
def test_every_damaged_span_is_found_and_no_other(tmp_path: Path, forget: bool, workers: int) -> None:
    with venue(tmp_path, 7, forget) as (made, spec):
        process = started(tmp_path, str(spec), "--audit", "--folder", "out", "--port", -1, "--summary", "sum.json",
                          "--workers", workers)
        try:
            until(lambda: len(made.sure()) >= ENOUGH)
            made.whole = True
            _, last = made.judged()
            until(lambda: made.judged()[1] > last + 3)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, said
    gaps = records(tmp_path / "out", "gaps")
    assert {one["cause"] for one in gaps} <= {"audit"}
    told = {(one["symbol"], (one["from_timestamp"] + 1) // 1_000_000) for one in gaps}
    begun, ended = made.judged()
    damaged = {(symbol.replace("-", ""), second) for symbol, second in made.damaged}
    sure = made.sure()
    assert sure <= told <= damaged, "the damaged ones, and nobody is accused who is healthy"
    assert len(sure) >= ENOUGH
    latest = {one["gap_id"]: one for one in gaps}
    assert latest.keys() == {one["gap_id"] for one in gaps}
    closed = {one["gap_id"] for one in gaps if one["status"] == "CLOSED"}
    books = json.loads((tmp_path / "sum.json").read_text())["connectors"]["venue"]
    assert books["balanced"]
    if forget:
        assert not closed
        assert all(one["missing"] >= 1 for one in gaps)
    else:
        assert len(closed) >= len(sure) - 2
        assert books["streams"]["trade"]["backfilled"] >= len(closed)
        assert "complete by the venue's candle" in said
    # Afterwards, from the files: fetched trades are complete, and what was not fetched is found again.
    audited = k2conn("audit", str(spec), str(tmp_path / "out"), "--format", "json")
    found = {(one["symbol"], one["open_time"] // 1_000_000) for one in map(json.loads, audited.stdout.splitlines())}
    inner = {one for one in damaged if begun < one[1] < ended - 1}
    if forget:
        assert audited.returncode == 1
        assert inner <= found <= damaged
    else:
        assert not found & {one for one in inner if one[1] < ended - 3}
    assert "trades" in audited.stderr
    assert "proven" in audited.stderr


def test_what_is_wrong_with_a_rule_is_told_with_its_place(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    text = SPEC % ("wss://venue.example", "https://venue.example")
    rule = "{trades: trade, fields: [volume, quote_volume, trade_count, high, low], settle: 300ms}"
    for wrong, said in (
        ("{trades: trades, fields: [volume]}", "'trades' is no stream of trades of this connector; did you mean"),
        ("{trades: trade, fields: [taker_buy_base]}", "'taker_buy_base' is not mapped"),
        ("{trades: trade, fields: [volume], tolerance: {high: 1}}", "'high' is not compared"),
        ("{trades: trade, fields: [vol]}", "vol"),
        ("{trades: trade}", "'fields'"),
        ("{trades: trade, fields: [volume], edge: middle}", "middle"),
    ):
        spec.write_text(text.replace(rule, wrong))
        done = k2conn("validate", str(spec))
        assert done.returncode == 78, wrong
        assert said in done.stdout + done.stderr, done.stdout
    spec.write_text(text.replace("    intervals: {1s: 1s}\n", "").replace(rule, "{trades: trade, fields: [volume]}"))
    assert "`audit` is for candles with `intervals`" in k2conn("validate", str(spec)).stdout


def test_an_audit_without_a_rule_or_without_trades_says_so(tmp_path: Path) -> None:
    with venue(tmp_path, 1, False) as (_, spec):
        done = run(tmp_path, str(spec), "--audit", "--streams", "candle", "--folder", "out", "--port", -1,
                   "--duration", "1s")
        assert "no audit: its trades do not run" in done.stderr
        text = spec.read_text()
        spec.write_text("\n".join(line for line in text.splitlines() if "audit:" not in line))
        done = k2conn("audit", str(spec), str(tmp_path))
        assert done.returncode == 2
        assert "none of its streams says `audit`" in done.stderr
