"""Files in: `k2conn load asx-trades` as a process, one file of generated rows without a header line into Avro files.

The rows are of the shape of an exchange's history: local times, several prices, one in thirty twice. What the process
costs for a file of one row (its start) is taken off, of the seconds as of the CPU. *ISA-L* says whether the extra
`speed` was there, which packs the files in a quarter of zlib's time. All records are read back by fastavro: count,
distinct ids, sums of price and quantity, rows in order.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fastavro

from benchmarks.figures import at_least, progress
from tests.support.files import trade_rows, written

ROUNDS = 3
TARGET = 200_000
"""Rows a second."""
COMPANY = "7078"


class Wrong(RuntimeError):
    """What was read back is not what the file has."""


def run(quick: bool, rows: int | None = None) -> dict[str, Any]:
    """Medians of ROUNDS loads."""
    count = rows or (50_000 if quick else 1_000_000)
    lines = trade_rows(count)
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = written(folder / "small" / f"{COMPANY}.csv", lines[:1])
        large = written(folder / "large" / f"{COMPANY}.csv", lines)
        for number in range(1 if quick else ROUNDS):
            start = _load(folder / f"start{number}", small)
            whole = _load(folder / f"whole{number}", large)
            wall, cpu = (one - zero for one, zero in zip(whole, start, strict=True))
            rounds.append({"rate": count / wall, "cpu_us": cpu / count * 1e6, "start_s": start[0]})
            progress(f"{count / wall:,.0f} rows/s, {cpu / count * 1e6:.2f} us of CPU each")
            if number == 0:
                _proven(folder / "whole0", lines)
    found = {key: round(statistics.median(one[key] for one in rounds), 2) for key in rounds[0]}
    return {
        "shapes": {"trades into Avro files": found}, "rounds": rounds, "rows": count,
        "isal": find_spec("isal") is not None,
        "checked": "read back by fastavro: count, distinct ids, sums of price and quantity, order",
        "targets": [at_least("load, rows of one file", TARGET, found["rate"], "rows a second"),
                    at_least("load, rows of one file", TARGET, 1e6 / found["cpu_us"], "rows a second of CPU")],
    }


def _load(folder: Path, file: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of a whole process."""
    folder.mkdir()
    words = [sys.executable, "-m", "k2conn", "load", "asx-trades", str(file), "--no-progress", "--folder", "out"]
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Wrong(said)
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


def _proven(folder: Path, rows: list[str]) -> None:
    ids, prices, amounts, last = set(), Decimal(0), Decimal(0), 0
    for path in sorted((folder / "out").rglob("*.avro"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        with path.open("rb") as file:
            for one in fastavro.reader(file):
                assert isinstance(one, dict)
                ids.add(one["message_id"])
                prices, amounts = prices + one["price"], amounts + one["quantity"]
                number = int(one["trade_id"].rpartition("-")[2])
                if number != last + 1:
                    raise Wrong(f"row {number} comes behind {last}")
                last = number
    cells = [row.split(",") for row in rows]
    wanted = (len(rows), sum(Decimal(one[2]) for one in cells), sum(Decimal(one[3]) for one in cells))
    if (len(ids), prices, amounts) != wanted or last != len(rows):
        raise Wrong(f"read back {len(ids)}, {prices}, {amounts}, not {wanted}")
