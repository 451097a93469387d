"""Into the embedded lake, on the disk of the same machine: SQLite's catalog, Parquet with zstd, its own settings.

*sink*: records that were encoded beforehand, put into the sink as fast as it takes them; the rate is from the first
`put` until the last record is committed, with the look for repeats that is the default. *without the look*: the same
with `K2_LAKE_DEDUPE=false`. *columns*: from Avro bodies to a sorted Arrow table only, in C and in Python, on one core.
CPU is that of all threads of the process. Every record is read back by DuckDB: count, distinct ids, sums of prices and
quantities.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import at_least, progress
from benchmarks.postgres import candles, trades
from k2conn import native
from k2conn.envelope import Envelope
from k2conn.lake.catalog import open_catalog
from k2conn.lake.reader import LakeReader
from k2conn.lake.rows import ColumnFormat
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import known_shapes
from k2conn.lake.writer import TableWriter
from k2conn.sinks import make_sink
from k2conn.sinks.settings import SinkSettings

ROUNDS = 3
TARGET = 100_000
"""Records a second of CPU."""
CHUNK = 500
BATCH = 50_000


class Wrong(RuntimeError):
    """What was read back is not what was sent."""


def run(quick: bool, rows: int | None = None) -> dict[str, Any]:
    """Medians of ROUNDS rounds, each into a lake of its own."""
    count = rows or (20_000 if quick else 500_000)
    some = {"trades": trades(count), "candles": candles(count // 5)}
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        columns = {f"columns, {kind}": _columns(Path(name), kind, some[kind][:BATCH]) for kind in some}
        for number in range(1 if quick else ROUNDS):
            folder = Path(name) / str(number)
            rounds.append({
                "sink, trades": _sink(folder / "trades", "trades", some["trades"], True),
                "sink, trades, without the look": _sink(folder / "plain", "trades", some["trades"], False),
                "sink, candles": _sink(folder / "candles", "candles", some["candles"], True),
            })
    found = {shape: {key: round(statistics.median(one[shape][key] for one in rounds), 2) for key in rounds[0][shape]}
             for shape in rounds[0]}
    return {
        "shapes": found, "columns": columns, "rounds": rounds, "rows": count,
        "checked": "read back by DuckDB: count, distinct ids, sums of price and quantity",
        "targets": [at_least(f"lake, {shape}", TARGET, 1e6 / one["cpu_us"], "records a second of CPU")
                    for shape, one in found.items()],
    }


def _columns(folder: Path, kind: str, envelopes: Sequence[Envelope]) -> dict[str, float]:
    """Microseconds of CPU a record, in C (where it is built) and in Python."""
    settings = LakeSettings(folder=folder / f"columns-{kind}")
    writer = TableWriter(open_catalog(settings), settings, known_shapes(settings)[kind])
    writer.open()
    found = {"in Python": 0.0}
    with pytest.MonkeyPatch.context() as patch:
        if native.columns is not None:
            found["in C"] = _spent(writer.format, envelopes)
        patch.setattr(native, "columns", None)
        found["in Python"] = _spent(writer.format, envelopes)
    progress(f"columns of {kind}: {found}")
    return found


def _spent(form: ColumnFormat, envelopes: Sequence[Envelope]) -> float:
    schema, bodies = envelopes[0].schema, [one.value for one in envelopes]
    assert schema is not None
    rounds = []
    for _ in range(3):
        start = time.process_time()
        form.of_records(schema, bodies)
        rounds.append(time.process_time() - start)
    return round(min(rounds) / len(bodies) * 1e6, 2)


def _sink(folder: Path, kind: str, envelopes: Sequence[Envelope], dedupe: bool) -> dict[str, float]:
    settings = LakeSettings(folder=folder, dedupe=dedupe)
    took, spent = asyncio.run(_put(settings, envelopes))
    schema = envelopes[0].schema
    assert schema is not None
    records = [schema.decode(one.value) for one in envelopes]
    names = {"trades": ("price", "quantity"), "candles": ("close", "volume")}[kind]
    sums = [sum((one[name] for one in records), Decimal(0)) for name in names]
    sql = f"SELECT count(*), count(DISTINCT message_id), sum({names[0]}), sum({names[1]}) FROM {kind}"
    (row,) = LakeReader(settings).rows(sql, (kind,)).to_pylist()
    if list(row.values()) != [len(envelopes), len(envelopes), *sums]:
        raise Wrong(f"read back {row}, not {len(envelopes)} and {sums}")
    count = len(envelopes)
    figures = {"rate": round(count / took), "cpu_us": spent / count * 1e6}
    progress(f"{kind}{'' if dedupe else ', without the look'}: {figures['rate']:,} records/s, "
             f"{figures['cpu_us']:.1f} us of CPU each")
    return figures


async def _put(settings: LakeSettings, envelopes: Sequence[Envelope]) -> tuple[float, float]:
    """Seconds, and seconds of CPU."""
    settled = 0

    def settle(batch: Sequence[Envelope]) -> None:
        nonlocal settled
        settled += len(batch)

    def reject(envelope: Envelope, reason: str, words: str = "") -> None:
        raise Wrong(words)

    sink: Any = make_sink(SinkSettings(kind="iceberg", options=settings), settle, reject)
    await sink.open()
    try:
        await sink.prepare({"t": envelopes[0].schema})
        own, start = time.process_time(), time.perf_counter()
        for at in range(0, len(envelopes), CHUNK):
            sink.put_all(envelopes[at : at + CHUNK])
            if sink.crowded:
                await sink.drain()
            await asyncio.sleep(0)
        if await sink.flush(120) or settled != len(envelopes):
            raise Wrong(f"{settled} of {len(envelopes)} records were acknowledged")
        return time.perf_counter() - start, time.process_time() - own
    finally:
        await sink.close()
