"""`k2conn run` as a process: signals, exit codes, and what it says at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from tests.paths import ROOT
from tests.servers.process import free_port
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS
from tests.support.small_venue import venue_process
from tests.support.venues import CONNECTION

VENUE = """
import asyncio, sys
sys.path.insert(0, %r)
from tests.support.plans import trade, trades
from tests.support.venues import Venue, says

async def main():
    frames = [trades(trade(n)) for n in range(5)] + ["{ broken"]
    async with Venue(says(*frames)).open() as venue:
        print(venue.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the tests are over

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def venue() -> Iterator[int]:
    """The port of a venue in a process of its own, which sends five trades and a broken frame to each client."""
    with venue_process(VENUE) as port:
        yield port


@pytest.fixture
def spec(tmp_path: Path, venue: int) -> Path:
    return written(tmp_path, venue)


def written(folder: Path, port: int) -> Path:
    path = folder / "venue.yaml"
    path.write_text(HEAD + CONNECTION % port + STREAMS)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "k2conn", "run", *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("K2_")}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def run(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn("run", *arguments, cwd=folder, env=environment(**variables))


def run_for(
    folder: Path, *arguments: object, enough: Callable[[subprocess.CompletedProcess[str]], object], **variables: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Runs for two seconds; where that was not enough on a busy machine, again and for longer. Each run has a folder of
    its own, which comes back with what the last one said.
    """
    for seconds in (2, 10, 50):
        own = folder / f"{seconds}s"
        own.mkdir()
        done = run(own, *arguments, "--duration", f"{seconds}s", **variables)
        if enough(done):
            break
    return own, done


def started(folder: Path, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    return warm_process.started(
        "run", *arguments, cwd=folder, env=environment(**variables), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_records(folder: Path, count: int, within: float = 60) -> None:
    """Until so many trades are in the Avro files."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if sum(path.stat().st_size > 800 for path in folder.rglob("*.avro")) and count:
            return
        time.sleep(0.05)
    raise AssertionError("no records came")


FINAL = re.compile(r"^venue: received (\d+) = published (\d+) \+ .* in flight 0 \+ lost 0;", re.MULTILINE)


def test_duration_then_the_ledger_and_the_summary(tmp_path: Path, spec: Path) -> None:
    flags = ("--port", 0, "--summary", "sum.json", "--folder", "out")
    folder, done = run_for(tmp_path, spec, *flags, enough=lambda done: " received 6 = " in done.stderr)
    assert done.returncode == 0, done.stderr
    found = FINAL.search(done.stderr)
    assert found is not None
    assert found.groups() == ("6", "5")
    summary = json.loads((folder / "sum.json").read_text())
    assert (summary["exit_code"], summary["unsent"], summary["records"]) == (0, 0, 6)
    venue = summary["connectors"]["venue"]
    assert (venue["published"], venue["dead_letters"], venue["balanced"]) == (5, 1, True)
    (file,) = (folder / "out" / "market.crypto.trades.venue").glob("*.avro")
    with file.open("rb") as opened:
        records: Any = fastavro.reader(opened)
        assert [record["trade_id"] for record in records] == [f"VENUE-{n}" for n in range(5)]


def test_sigterm_stops_in_order(tmp_path: Path, spec: Path) -> None:
    process = started(tmp_path, spec, "--port", 0, "--summary", "sum.json", "--sink", "console", "--daemon")
    assert process.stdout is not None
    for _ in range(5):
        assert json.loads(process.stdout.readline())["record"]["exchange"] == "VENUE"
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert time.monotonic() - start < 20
    lines = [json.loads(line) for line in said.splitlines()]
    assert FINAL.search(lines[-1]["event"])
    assert (lines[-1]["connector"], lines[-1]["in_flight"], lines[-1]["lost"]) == ("venue", 0, 0)
    assert json.loads((tmp_path / "sum.json").read_text())["connectors"]["venue"]["published"] == 5
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"')]
    assert {"connected", "subscribed", "stopping"} <= {line.get("event") for line in lines}


def test_health_and_metrics_of_the_process(tmp_path: Path, spec: Path) -> None:
    port = free_port()
    process = started(tmp_path, spec, K2_METRICS_PORT=str(port), K2_SINK_FOLDER="out")
    try:
        wait_for_records(tmp_path / "out", 5)
        end = time.monotonic() + 60
        while get(port, "/ready") != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert [get(port, path) for path in ("/live", "/ready", "/health", "/metrics")] == [200] * 4
        second = run(tmp_path, spec, "--port", port)
        assert second.returncode == 2
        assert f"127.0.0.1:{port}" in second.stderr
        assert "--port" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def get(port: int, path: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_environment_alone_says_what_runs(tmp_path: Path, venue: int) -> None:
    (tmp_path / "connectors").mkdir()
    written(tmp_path / "connectors", 1)
    done = run(
        tmp_path, "--max-records", 5, "--port", 0, "--summary", "sum.json",
        K2_VENUE_ENABLED="true", K2_VENUE_WEBSOCKET_URL=f"ws://127.0.0.1:{venue}/ws", K2_VENUE_STREAMS="trade",
        K2_VENUE_SYMBOLS='["BTC-USD"]', K2_SINK="console", K2_LOG_FORMAT="json", K2_KAFKA_RETRIES="9",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert '"variable":"K2_KAFKA_RETRIES"' in done.stderr.replace(" ", "")
    assert json.loads((tmp_path / "sum.json").read_text())["connectors"]["venue"]["connects"] == 1


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "text"),
    [
        ([], {}, 2, "nothing to run"),
        (["venue.yaml", "venue.yaml"], {}, 2, "named twice"),
        (["nosuch"], {}, 2, "there is no connector 'nosuch'"),
        (["krakn"], {}, 2, "kraken"),
        (["venue.yaml", "--streams", "trades"], {}, 2, "has no stream 'trades'"),
        (["venue.yaml", "--symbols", "BTCUSD"], {}, 2, "no symbol rule reads BTCUSD"),
        (["venue.yaml", "kraken", "--symbols", "BTC-USD"], {}, 2, "--symbols is for one connector"),
        (["venue.yaml", "--duration", "soon"], {}, 2, "--duration"),
        (["venue.yaml", "--log-level", "loud"], {}, 2, "--log-level"),
        (["venue.yaml", "--sink", "nowhere"], {}, 2, "no sink 'nowhere'; known: console, file, iceberg, kafka"),
        (["venue.yaml"], {"K2_KAFKA_ACKS": "1"}, 2, "contradicts"),
        (["venue.yaml"], {"K2_VENUE_WEBSOCKET_URL": "ws://exchange.example"}, 2, "K2_VENUE_WEBSOCKET_URL"),
        (["venue.yaml", "--nosuch"], {}, 2, "No such option"),
        (["bad.yaml"], {}, 78, "bad.yaml:"),
        (["venue.yaml", "--folder", "/proc/nowhere"], {}, 2, "--folder /proc/nowhere"),
    ],
)
def test_what_cannot_run_says_why_and_exits_with_its_code(
    tmp_path: Path, spec: Path, arguments: list[str], variables: dict[str, str], code: int, text: str
) -> None:
    (tmp_path / "bad.yaml").write_text("connector: bad\nstreams: {}\n")
    done = run(tmp_path, *arguments, "--port", "0", **variables)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kafka_that_is_not_there_ends_the_start_in_bounded_time(tmp_path: Path, spec: Path) -> None:
    start = time.monotonic()
    done = run(tmp_path, spec, "--port", 0, "--kafka", f"127.0.0.1:{free_port()}")
    assert done.returncode == 69, done.stderr
    assert time.monotonic() - start < 30
    last = done.stderr.splitlines()[-1]
    assert last.startswith("k2conn: kafka 127.0.0.1:")
    assert "Traceback" not in done.stderr


def test_a_bug_of_ours_is_reported_loudly(tmp_path: Path, spec: Path) -> None:
    code = (
        "import sys; from k2conn.engine.mapping import stream_mapping as mapping\n"
        "def take(*_): raise ZeroDivisionError('what a bug')\n"
        "mapping.StreamMapping.take = take\n"
        "sys.argv = ['k2conn', 'run', sys.argv[1], '--port', '0', '--sink', 'console', '--duration', '2s']\n"
        "from k2conn.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(spec)], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=30, check=False,
    )
    assert done.returncode == 70
    assert "ZeroDivisionError: what a bug" in done.stderr
    assert "please report" in done.stderr
    assert "venue: received" in done.stderr
    assert done.stdout == ""  # dead letters only


def test_a_reader_that_goes_away_ends_the_run(tmp_path: Path, spec: Path) -> None:
    process = started(tmp_path, spec, "--port", 0, "--sink", "console")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert process.returncode in (0, 1, 69), said
    assert "Traceback" not in said



