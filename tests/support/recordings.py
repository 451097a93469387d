"""Recordings of runs against simulated venues, and what the file sink wrote, byte by byte."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import fastavro

from tests.paths import ROOT
from tests.support import warm_process


def environment(**variables: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("K2_")}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def k2conn(folder: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder to its end."""
    return warm_process.k2conn(*words, cwd=folder, timeout=100, env=environment(**variables))


@contextmanager
def mock(folder: Path, *words: object) -> Iterator[dict[str, str]]:
    """A simulated venue in a process of its own: the variables that lead to it."""
    log = folder / "mock.log"
    with log.open("w") as out, warm_process.started(
        "mock", *map(str, words), cwd=folder, stdout=out, stderr=out,
        env=environment(),
    ) as process:
        try:
            for _ in range(300):
                found = dict(re.findall(r"(K2_\w+)=(\S+)", log.read_text()))
                if any(name.endswith("WEBSOCKET_URL") for name in found):
                    break
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            else:
                raise AssertionError(log.read_text())
            yield found
        finally:
            process.terminate()


def bodies(folder: Path) -> dict[tuple[str, str], list[bytes]]:
    """All that is in the file sink's folder: the bodies of records by topic and symbol, in their order, and the lines
    of dead letters, sorted. Of two sockets the one or the other may come first; records of one symbol have one order.
    """
    found: dict[tuple[str, str], list[bytes]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix == ".avro":
            with path.open("rb") as file:
                reader = fastavro.reader(file)
                schema = fastavro.parse_schema(reader.writer_schema)
                for record in reader:
                    body = BytesIO()
                    fastavro.schemaless_writer(body, schema, record)
                    found.setdefault((path.parent.name, record["symbol"]), []).append(body.getvalue())
        else:
            found.setdefault((path.parent.name, ""), []).extend(path.read_bytes().splitlines())
    return {key: sorted(some) if not key[1] else some for key, some in found.items()}
