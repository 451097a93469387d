"""Features of candles, and one candle at a time into PostgreSQL.

*features*: closed candles of many symbols, each taken in by the stage's own maker once the window is full: the inputs,
the window's arithmetic, the record's bytes; CPU microseconds of each candle, the collector's pauses among them. *row*:
one candle after another through the sink into a real PostgreSQL on the same machine (fsync on), with
`K2_POSTGRES_UPDATE_ROWS=1`: wall milliseconds from `put` until the row is committed, which other work on the machine
makes longer.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import below, ladder, progress
from k2conn.envelope import Envelope
from k2conn.features.maker import FeatureMaker
from k2conn.features.settings import FeatureSettings
from k2conn.sinks import make_sink
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.settings import SinkSettings
from tests.servers import Postgres
from tests.support.databases import candle
from tests.support.features import minute

SYMBOLS = 100


def run(quick: bool) -> dict[str, Any]:
    """Percentiles over all candles."""
    candles, rows = (2_000, 100) if quick else (100_000, 2_000)
    progress(f"features: {candles} candles")
    made = ladder(_features(candles))
    progress(f"features: {rows} rows")
    with tempfile.TemporaryDirectory() as name, Postgres(Path(name) / "postgres") as server:
        written = ladder(asyncio.run(_rows(server.dsn, rows)))
    return {
        "features_us": made, "candles": candles, "symbols": SYMBOLS, "window": FeatureSettings().window,
        "row_ms": written, "rows": rows,
        "targets": [
            below("features of a candle, half of them", 1_000, made["50"], "us"),
            below("features of a candle, 99 of 100", 1_000, made["99"], "us"),
            below("one candle, committed in PostgreSQL, half of them", 4, written["50"], "ms"),
        ],
    }


def _features(count: int) -> list[float]:
    """Microseconds of each."""
    maker, chance = FeatureMaker(FeatureSettings()), random.Random(1)
    found = []
    for number in range(FeatureSettings().window + count // SYMBOLS):
        for symbol in range(SYMBOLS):
            low = chance.randint(10**12, 10**13)
            one = minute(
                number, symbol=f"S{symbol}", open=low + 1, close=low + 2, low=low, high=low + 10**9,
                volume=chance.randint(1, 10**21), quote_volume=10**21, taker_buy_base=10**17, taker_buy_quote=10**20,
                trade_count=chance.randint(1, 10_000),
            )
            began = time.thread_time_ns()
            maker.features(one, "candle_1m", 1.5)
            if number >= FeatureSettings().window:
                found.append((time.thread_time_ns() - began) / 1000)
    return found


async def _rows(dsn: str, count: int) -> list[float]:
    """Milliseconds of each."""
    done = asyncio.Event()

    def settle(envelopes: Sequence[Envelope]) -> None:
        done.set()

    def reject(envelope: Envelope, reason: str, words: str = "") -> None:
        raise RuntimeError(f"{reason} {words}")

    settings = SinkSettings(kind="postgres", options=PostgresSettings(dsn=dsn, update_rows=1, update_ms=1))
    sink = make_sink(settings, settle, reject)
    await sink.open()
    found = []
    for number in range(count + 1):
        done.clear()
        began = time.perf_counter_ns()
        sink.put(candle(number))
        await done.wait()
        if number:  # the first one makes the temporary table
            found.append((time.perf_counter_ns() - began) / 1_000_000)
    await sink.close()
    return found
