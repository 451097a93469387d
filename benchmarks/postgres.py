"""Into a real PostgreSQL on the same machine, its own settings but for shared_buffers (64 MB), fsync on.

*sink*: records that were encoded beforehand, put into the sink as fast as it takes them; the rate is from the first
`put` until the last record is committed. *process*: a feeder's Binance aggTrade frames on a loopback WebSocket, through
`k2conn run --sink postgres`, as fast as they are taken; the rate is from the first frame until the process, which was
told to stop after so many records, has ended in good order. Every record is read back by psql: count, distinct ids,
sums of prices and quantities, and the order of ids within a symbol by time. CPU of the server is that of all its
processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.figures import at_least, progress
from benchmarks.processes import Feeding, Process
from benchmarks.tapes import BinanceTape
from k2conn.avro import load_schema
from k2conn.cli.loading import find
from k2conn.envelope import Envelope
from k2conn.sinks import make_sink
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.settings import SinkSettings
from tests.servers import Postgres
from tests.support.databases import CANDLE
from tests.support.lists import shown_list
from tests.support.sinks import TRADE

ROUNDS = 3
TARGET = 50_000
"""Records a second."""
SYMBOLS = 10
CHUNK = 500
_LOOK_EVERY = 0.02
_STAMP = 1_767_323_045_000_000


class Wrong(RuntimeError):
    """What was read back is not what was sent."""


def run(quick: bool, rows: int | None = None) -> dict[str, Any]:
    """Medians of ROUNDS rounds, each into a database of its own."""
    rows = rows or (20_000 if quick else 500_000)
    frames = rows * 3 // 5
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name, Postgres(Path(name) / "postgres") as server:
        for number in range(1 if quick else ROUNDS):
            rounds.append({
                "sink, trades": _sink(server, f"t{number}", trades(rows), "trades_v2"),
                "sink, candles": _sink(server, f"c{number}", candles(rows // 5), "candles_v2"),
                "process, trades": _process(server, f"p{number}", frames, Path(name) / str(number)),
            })
    found = {shape: {key: round(statistics.median(one[shape][key] for one in rounds), 2) for key in rounds[0][shape]}
             for shape in rounds[0]}
    return {
        "shapes": found, "rounds": rounds, "rows": rows, "frames": frames,
        "checked": "read back by psql: count, distinct ids, sums of price and quantity, order of ids by time",
        "targets": [at_least(f"PostgreSQL, {shape}", TARGET, one["rate"], "records a second")
                    for shape, one in found.items()],
    }


# -- the sink alone


def trades(count: int) -> list[Envelope]:
    """So many trades of SYMBOLS symbols, encoded."""
    schema = load_schema("trade")
    made = []
    for number in range(count):
        values = TRADE | {
            "message_id": str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)),
            "trade_id": f"X-{number}", "symbol": f"S{number % SYMBOLS}", "source_sequence": number,
            "timestamp": _STAMP + number * 20, "ingestion_timestamp": _STAMP + number * 20 + 900,
            "price": 6_400_010_000_000 + number % 10_000 * 1_000_000, "quantity": 1 + number * 1000,
        }
        made.append(Envelope("t", b"S", schema.encode(list(values.values())), schema, values["timestamp"] // 1000))
    return made


def candles(count: int) -> list[Envelope]:
    """So many candles of a thousand symbols, encoded."""
    schema = load_schema("candle")
    made = []
    for number in range(count):
        start = _STAMP // 60_000_000 * 60_000_000 + number // 1000 * 60_000_000
        values = CANDLE | {
            "message_id": str(UUID(int=number)), "symbol": f"S{number % 1000:03}", "open_time": start,
            "close_time": start + 60_000_000, "trade_count": number, "close": 6_300_000_000_000 + number,
        }
        made.append(Envelope("c", b"S", schema.encode(list(values.values())), schema, start // 1000))
    return made


def _sink(server: Postgres, database: str, envelopes: Sequence[Envelope], table: str) -> dict[str, float]:
    server.query(f"CREATE DATABASE {database}", "postgres")
    figures = asyncio.run(_put(server, server.dsn_of(database), envelopes))
    count = len(envelopes)
    key = "source_sequence" if table == "trades_v2" else "trade_count"
    sums = {"trades_v2": ("price", "quantity"), "candles_v2": ("close", "volume")}[table]
    first = envelopes[0].schema
    assert first is not None
    records = [first.decode(one.value) for one in envelopes]
    wanted = [count, count, *(sum((one[name] for one in records), Decimal(0)) for name in sums)]
    _proven(server, database, f"SELECT count(*), count(DISTINCT {key}), sum({sums[0]}), sum({sums[1]}) FROM {table}",
            wanted)
    if table == "trades_v2":
        _ordered(server, database, "source_sequence")
    progress(f"{table}: {figures['rate']:,.0f} records/s, {figures['cpu_us']:.1f} us of our CPU each, "
             f"{figures['server_us']:.1f} of the server's")
    return figures


async def _put(server: Postgres, dsn: str, envelopes: Sequence[Envelope]) -> dict[str, float]:
    settled = 0

    def settle(batch: Sequence[Envelope]) -> None:
        nonlocal settled
        settled += len(batch)

    def reject(envelope: Envelope, reason: str, words: str = "") -> None:
        raise Wrong(words)

    sink: Any = make_sink(SinkSettings(kind="postgres", options=PostgresSettings(dsn=dsn)), settle, reject)
    await sink.open()
    try:
        await sink.prepare({"t": envelopes[0].schema})
        before, own, start = _cpu(server), time.process_time(), time.perf_counter()
        for at in range(0, len(envelopes), CHUNK):
            sink.put_all(envelopes[at : at + CHUNK])
            if sink.crowded:
                await sink.drain()
            await asyncio.sleep(0)
        if await sink.flush(120) or settled != len(envelopes):
            raise Wrong(f"{settled} of {len(envelopes)} records were acknowledged")
        took = time.perf_counter() - start
        return _figures(len(envelopes), took, time.process_time() - own, _cpu(server) - before)
    finally:
        await sink.close()


# -- the whole process


def _process(server: Postgres, database: str, frames: int, folder: Path) -> dict[str, float]:
    server.query(f"CREATE DATABASE {database}", "postgres")
    folder.mkdir()
    tape = BinanceTape(SYMBOLS, 1)
    feeder = Feeding(folder, "binance", symbols=SYMBOLS, frames=frames)
    command = [sys.executable, "-m", "k2conn", "run", str(find("binance")), "--streams", "agg_trade", "--symbols",
               ",".join(tape.symbols), "--sink", "postgres", "--port", "-1", "--log-level", "error",
               "--max-records", str(frames)]
    process = Process("k2conn", command, folder / "log", {
        "K2_BINANCE_WEBSOCKET_URL": f"ws://127.0.0.1:{feeder.port}/stream", "K2_BINANCE_BACKFILL": "false",
        "K2_SPOOL_FOLDER": str(folder / "spool"), "K2_POSTGRES_DSN": server.dsn_of(database),
        **shown_list(folder, "binance"),
    })
    try:
        feeder.hear(f"asked {SYMBOLS}")
        process.quiet()
        before, own, start = _cpu(server), process.cpu, time.perf_counter()
        feeder.tell(f"go full {frames}")
        spent = own
        while process.running:
            spent = max(spent, process.cpu)
            if time.perf_counter() - start > 300:
                raise Wrong(f"it does not end: {process.tail()}")
            time.sleep(_LOOK_EVERY)
        figures = _figures(frames, time.perf_counter() - start, spent - own, _cpu(server) - before)
    finally:
        process.stop()
        feeder.stop()
    sent = [json.loads(tape.frame(number))["data"] for number in range(frames)]
    wanted = [frames, frames, *(sum((Decimal(one[name]) for one in sent), Decimal(0)) for name in ("p", "q"))]
    _proven(server, database, "SELECT count(*), count(DISTINCT trade_id || symbol), sum(price), sum(quantity) "
            "FROM trades_v2", wanted)
    _ordered(server, database, "split_part(trade_id, '-', 2)::bigint")
    progress(f"process: {figures['rate']:,.0f} trades/s, {figures['cpu_us']:.1f} us of our CPU each, "
             f"{figures['server_us']:.1f} of the server's")
    return figures


# -- what both need


def _figures(count: int, took: float, own: float, server: float) -> dict[str, float]:
    return {"rate": round(count / took), "cpu_us": own / count * 1e6, "server_us": server / count * 1e6}


def _proven(server: Postgres, database: str, sql: str, wanted: Sequence[Any]) -> None:
    found = [Decimal(text) for text in server.query(sql, database)[0]]
    if found != [Decimal(one) for one in wanted]:
        raise Wrong(f"read back {found}, not {wanted}")


def _ordered(server: Postgres, database: str, number: str) -> None:
    sql = (f"SELECT count(*) FROM (SELECT {number} AS n, lag({number}) OVER (PARTITION BY symbol ORDER BY timestamp, "
           f"{number}) AS before FROM trades_v2) t WHERE n <= before")
    if server.query(sql, database) != [["0"]]:
        raise Wrong("ids do not ascend with the time")


def _cpu(server: Postgres) -> float:
    """Seconds that all processes of the server have used; those that ended are in their parent's account."""
    assert server.pid is not None
    pids = [server.pid, *map(int, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split())]
    ticks = 0
    for pid in pids:
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except (FileNotFoundError, ProcessLookupError):  # one that just ended
            continue
    return ticks / os.sysconf("SC_CLK_TCK")
