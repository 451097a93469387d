"""`k2conn serve` before an embedded lake with many trades, asked over a loopback connection that is kept open.

The table is the iceberg sink's own, and so are its commits; its rows are made by DuckDB in the order of time, sorted
within a commit by symbol and time as the sink does it: SYMBOLS symbols at even rates over DAYS days, CHUNK rows a
commit (which stands for a lake that is compacted now and then). Questions, rates and times as under *before
PostgreSQL*. ``--data FOLDER`` keeps the table, and asks one that is there from an earlier time.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]

from benchmarks.api import ASKED, DAYS, ROWS, SYMBOLS, TARGET, Serving, answers
from benchmarks.figures import below, progress
from k2conn.lake.catalog import open_catalog
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import known_shapes
from k2conn.lake.writer import TableWriter

CHUNK = 2_000_000


KEPT = "kept.json"
"""Says of a table that is kept how it was made."""


def run(quick: bool, rows: int | None = None, data: Path | None = None) -> dict[str, Any]:
    """The figures of a table with so many rows."""
    with _folder(data) as folder:
        made = _made(folder, rows or (1_000_000 if quick else ROWS))
        rows, until = made["rows"], datetime.fromisoformat(made["until"])
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        since = f"{until - timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}"
        with Serving("lake", K2_LAKE_FOLDER=str(folder)) as port:
            shapes = answers(port, 50 if quick else ASKED, since)
    return {
        "shapes": shapes, "rows": rows, "symbols": SYMBOLS, "days": DAYS, "bytes": size, "filled_s": made["filled_s"],
        "targets": [below(f"API before the lake, p99 of the last hour of one symbol in {rows:,} rows, {shape}", TARGET,
                            shapes[shape]["p99_ms"], "ms") for shape in ("first", "again")],
    }


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """Where the lake is: in ``data``, which stays, or somewhere for now."""
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _made(folder: Path, rows: int) -> dict[str, Any]:
    """What is known of the table in a folder, which is made where it is missing."""
    kept = folder / KEPT
    if kept.exists():
        made: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        progress(f"{made['rows']:,} rows are there")
        return made
    began, start = time.monotonic(), datetime.now(UTC) - timedelta(days=DAYS)
    _fill(LakeSettings(folder=folder, dedupe=False), rows, start)
    made = {"rows": rows, "until": (start + timedelta(days=DAYS)).isoformat(),
            "filled_s": round(time.monotonic() - began)}
    progress(f"{rows:,} rows in {made['filled_s']:,} s")
    kept.write_text(json.dumps(made), encoding="utf-8")
    return made


def _fill(settings: LakeSettings, rows: int, start: datetime) -> None:
    writer = TableWriter(open_catalog(settings), settings, known_shapes(settings)["trades"])
    writer.open()
    schema = pa.schema(writer.format.fields)
    first_us = int(start.timestamp()) * 1_000_000
    with duckdb.connect() as generator:
        generator.execute("SET TimeZone='UTC'")
        for first in range(0, rows, CHUNK):
            last = min(first + CHUNK, rows)
            found = generator.sql(_GENERATE.format(
                first=first, last=last, symbols=SYMBOLS, start=first_us, step=DAYS * 86_400_000_000 / rows,
            )).to_arrow_table()
            writer.append(found.cast(schema))
            progress(f"{last:,} rows")


_GENERATE = """
SELECT uuid()::VARCHAR AS message_id, 'X-' || n AS trade_id, 'S' || lpad((n % {symbols})::VARCHAR, 3, '0') AS symbol,
    'X' AS exchange, 'crypto' AS asset_class, make_timestamptz({start} + (n * {step})::BIGINT) AS "timestamp",
    (64000.10 + (n % 10000) * 0.01)::DECIMAL(18, 8) AS price, ((n % 1000 + 1) * 0.001)::DECIMAL(18, 8) AS quantity,
    'USD' AS currency, CASE n // {symbols} % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END AS side,
    []::VARCHAR[] AS trade_conditions, n AS source_sequence,
    make_timestamptz({start} + (n * {step})::BIGINT + 900) AS ingestion_timestamp, NULL::BIGINT AS platform_sequence,
    NULL::MAP(VARCHAR, VARCHAR) AS vendor_data
FROM range({first}, {last}) AS t (n) ORDER BY symbol, "timestamp"
"""
