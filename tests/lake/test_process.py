"""`k2conn run --sink iceberg` as a process: from a venue to SQL in seconds, killed, started again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.kafka.test_broker_away import VENUE
from tests.lake.test_query import asked
from tests.support import warm_process
from tests.support.lakes import lake, read
from tests.support.plans import HEAD, STREAMS
from tests.support.small_venue import venue_process
from tests.support.venues import CONNECTION

COUNTS = "SELECT count(*), count(DISTINCT trade_id), count(DISTINCT message_id) FROM trades"


@pytest.fixture(scope="module")
def venue() -> Iterator[int]:
    """The port of a venue that sends 250 trades a second, each with the next number."""
    with venue_process(VENUE) as port:
        yield port


def started(folder: Path, port: int, *words: str, **variables: str) -> subprocess.Popen[str]:
    file = folder / "venue.yaml"
    file.write_text(HEAD + CONNECTION % port + STREAMS)
    return warm_process.started(
        "run", file, "--streams", "trade", "--sink", "iceberg", "--port", "-1", "--summary", folder / "summary.json",
        *words,
        cwd=folder, env=environment(K2_LAKE_FOLDER=str(folder / "lake"), **variables), stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.alone
def test_a_venues_trade_is_queryable_in_ten_seconds_with_the_defaults(venue: int, tmp_path: Path) -> None:
    settings = lake(tmp_path)
    process = started(tmp_path, venue)
    connected = None
    try:
        while connected is None:
            assert process.stderr is not None
            connected = time.monotonic() if " subscribed " in process.stderr.readline() else None
        found = "0"
        while found == "0":
            assert time.monotonic() - connected < 10
            found = asked(settings, "query", "SELECT count(*) FROM trades WHERE symbol = 'BTCUSD'", "--side", "SELL",
                          "--currency", "USD", "--format", "csv").splitlines()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    books = json.loads((tmp_path / "summary.json").read_text())["connectors"]["venue"]
    assert books["balanced"]
    assert read(settings, COUNTS) == [(books["published"],) * 3]


@pytest.mark.deploy
def test_a_process_that_is_killed_again_and_again_leaves_every_record_once(venue: int, tmp_path: Path) -> None:
    settings = lake(tmp_path)
    often = {"K2_LAKE_COMMIT_MS": "60", "K2_SPOOL": "always"}
    for seconds in (2.5, 3.0, 3.8):
        process = started(tmp_path, venue, **often)
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=60)
    process = started(tmp_path, venue, "--duration", "3s", **often)
    said = process.communicate(timeout=90)[1]
    assert process.returncode == 0, said
    ((count, *distinct),) = read(settings, COUNTS)
    assert count > 100
    assert distinct == [count, count]
    parquet = {str(path) for path in settings.folder.rglob("*.parquet")}
    from k2conn.lake.reader import LakeReader

    known = {file.path.removeprefix("file://") for file in LakeReader(settings).state("trades").files.files}
    assert known <= parquet


def test_a_table_of_another_shape_ends_with_69_and_its_columns(venue: int, tmp_path: Path) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import DoubleType, NestedField

    from k2conn.lake.catalog import open_catalog

    catalog = open_catalog(lake(tmp_path))
    catalog.create_namespace("market_data")
    catalog.create_table("market_data.trades_v2", Schema(NestedField(1, "price", DoubleType())))
    process = started(tmp_path, venue)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 69
    assert "price is double, not decimal(18, 8) or larger" in said


def test_a_catalog_that_is_away_ends_with_69_and_its_address(venue: int, tmp_path: Path) -> None:
    process = started(tmp_path, venue, K2_LAKE_CATALOG="http://127.0.0.1:9", K2_LAKE_TOKEN="geheim",
                      K2_LAKE_OPEN_TIMEOUT_MS="2s")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 69
    assert "lake http://127.0.0.1:9: connection refused" in said
    assert "geheim" not in said


def test_settings_are_told_by_their_variables(venue: int, tmp_path: Path) -> None:
    process = started(tmp_path, venue, K2_LAKE_COMMIT_ROWS="0", K2_LAKE_VENDOR_DATA="xml")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "K2_LAKE_COMMIT_ROWS=0 is not above 0" in said
    assert "K2_LAKE_VENDOR_DATA='xml': known are map, json" in said


def test_doctor_looks_and_makes_nothing(venue: int, tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    file.write_text(HEAD + CONNECTION % venue + STREAMS)
    done = warm_process.k2conn("doctor", file, "--sink", "iceberg", "--port", "-1", cwd=tmp_path, env=environment())
    assert "a start makes it" in done.stdout, done.stderr
    assert not (tmp_path / "lake").exists()
