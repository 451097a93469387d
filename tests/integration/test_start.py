"""A start tells everything at once, in the user's own words; `doctor` tells the same and looks at everybody, without
running. Whole processes.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_run import environment, run, spec, started, venue, wait_for_records  # noqa: F401
from tests.servers.process import free_port
from tests.support import warm_process

BAD = {
    "K2_METRICS_PORT": "70000",
    "K2_WORKERS": "many",
    "K2_LOG_FORMAT": "xml",
    "K2_SINK_FOLDER": "/etc/passwd/data",
    "K2_STATE_FOLDER": "/proc/nowhere/state",
    "K2_SPOOL": "maybe",
    "K2_KAFKA_BATCH_SIZE": "0",
    "K2_VENUE_RECONNECT_DELAY": "soon",
    "K2_VENUE_WEBSOCKET_URL": "wss://venue.example:99999/?key=hunter2",
    "K2_VENUE_PROXY": "ftp://me:hunter2@proxy",
    "K2_VENUE_SYMBOLS": "BTC-USD;ETH-USD",
}


def doctor(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn("doctor", *arguments, cwd=folder, env=environment(**variables))


def test_all_that_is_wrong_is_told_at_once_by_the_names_that_were_typed(tmp_path: Path, spec: Path) -> None:  # noqa: F811
    flags = ("--duration", "long", "--sink", "file", "--summary", "/proc/nowhere/sum.json")
    done = run(tmp_path, spec, *flags, **BAD)
    assert done.returncode == 2, done.stderr
    told = done.stderr[done.stderr.index("settings are wrong:") :].splitlines()[1:]
    for name in (*BAD, "--duration", "--summary"):
        assert sum(name in line for line in told) == 1, (name, told)
    assert len(told) == len(BAD) + 2
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "data").exists()
    given = {name: text for name, text in BAD.items() if name != "K2_WORKERS"}
    examined = doctor(tmp_path, spec, "--sink", "file", **given)
    assert examined.returncode == 2
    assert all(name in examined.stdout for name in given), examined.stdout
    assert "hunter2" not in examined.stdout + examined.stderr


def test_what_the_connectors_themselves_refuse_is_told_beside_it(tmp_path: Path, spec: Path) -> None:  # noqa: F811
    other = spec.with_name("other.yaml")
    other.write_text(spec.read_text().replace("connector: venue", "connector: other"))
    done = run(tmp_path, spec, other, "--port", "x", K2_VENUE_SYMBOLS="?", K2_OTHER_SYMBOLS="!")
    assert done.returncode == 2
    words = ("--port 'x'", "venue: no symbol rule reads ?", "other: no symbol rule reads !")
    assert all(word in done.stderr for word in words)


@pytest.mark.parametrize(
    "symbols", [["BTC-USD ETH-USD"], ["BTC-USD, ETH-USD"], ["BTC-USD", "ETH-USD"], ["BTC-USD,ETH-USD"]]
)
def test_symbols_in_every_spelling_and_the_line_that_says_what_runs(
    tmp_path: Path, spec: Path, venue: int, symbols: list[str]  # noqa: F811
) -> None:
    flags = [word for text in symbols for word in ("--symbols", text)]
    flags += ["--port", "-1", "--max-records", "1", "--daemon", "--folder", "out"]
    done = run(tmp_path, spec, *flags, K2_VENU_SYMBOLS="x")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    (start,) = [line for line in lines if line["event"] == "starting"]
    assert (start["connector"], start["venue"], start["symbols"], start["sink"]) == (
        "venue", f"ws://127.0.0.1:{venue}", "BTC-USD, ETH-USD", "file out"
    )
    (odd,) = [line for line in lines if line["event"] == "nothing reads this variable"]
    assert (odd["variable"], odd["did_you_mean"]) == ("K2_VENU_SYMBOLS", "K2_VENUE_SYMBOLS")


@pytest.mark.parametrize("text", [";", "", ",", "BTC-USD;ETH-USD", "'BTC-USD'"])
def test_what_is_no_list_of_symbols_is_refused(tmp_path: Path, spec: Path, text: str) -> None:  # noqa: F811
    done = run(tmp_path, spec, "--symbols", text, "--duration", "1s", "--port", "-1")
    assert done.returncode == 2
    assert "--symbols" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_state_folder_that_another_process_has_is_refused(tmp_path: Path, spec: Path) -> None:  # noqa: F811
    first = started(tmp_path, spec, "--port", "-1", "--folder", "out", K2_STATE_FOLDER="state")
    try:
        wait_for_records(tmp_path / "out", 5)
        second = run(tmp_path, spec, "--port", "-1", "--duration", "1s", K2_STATE_FOLDER="state")
        assert second.returncode == 2, second.stderr
        assert "K2_STATE_FOLDER state: another process has it for venue" in second.stderr
        assert run(tmp_path, spec, "--port", "-1", "--max-records", "1", K2_STATE_FOLDER="other").returncode == 0
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    third = run(tmp_path, spec, "--port", "-1", "--max-records", "1", K2_STATE_FOLDER="state")
    assert third.returncode == 0, third.stderr


# -- what is away


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "cause"),
    [("127.0.0.1:9", "nothing listens on 127.0.0.1:9"),
     ("nosuch.invalid:9092", "the name nosuch.invalid cannot be resolved")],
)
def test_a_kafka_that_is_away_is_named_with_the_likely_cause(
    tmp_path: Path, spec: Path, address: str, cause: str  # noqa: F811
) -> None:
    process = started(tmp_path, spec, "--kafka", address, "--port", "-1")
    assert process.stderr is not None
    for line in process.stderr:
        if "starting" in line:
            break
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 69
    assert time.monotonic() - began < 9  # a start waits for ten
    assert f"k2conn: kafka {address}: {cause}" in said


def test_sigterm_ends_a_start_that_waits_for_kafka(tmp_path: Path, spec: Path, silent: int) -> None:  # noqa: F811
    process = started(tmp_path, spec, "--kafka", f"127.0.0.1:{silent}", "--port", "-1")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "takes the connection and says nothing" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, "".join(seen) + said
    assert time.monotonic() - began < 9  # a start waits for ten


def test_sigterm_just_before_there_is_a_loop_leaves_nothing_undone(tmp_path: Path, spec: Path) -> None:  # noqa: F811
    """The least convenient moment: all is prepared, and nothing has begun."""
    text = f"""
import os, signal, sys
from k2conn.cli import event_loop, main
event_loop.keep_what_is_there = lambda: os.kill(os.getpid(), signal.SIGTERM)
sys.argv = ["k2conn", "run", {str(spec)!r}, "--sink", "none", "--port", "-1"]
main()
"""
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=environment(), capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "received 0 = published 0" in done.stderr + done.stdout
    assert "never awaited" not in done.stderr


# -- doctor


def test_doctor_reaches_everybody_and_runs_nothing(tmp_path: Path, spec: Path) -> None:  # noqa: F811
    done = doctor(tmp_path, spec, "--port", "-1", "--format", "json", K2_STATE_FOLDER="state")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"]
    assert [one["subject"] for one in found["findings"]] == ["settings", "settings", "venue"]
    assert found["findings"][-1]["detail"].startswith("connected (main) in ")
    assert {path.name for path in tmp_path.iterdir()} == {"venue.yaml"}


def test_doctor_says_who_cannot_be_reached(tmp_path: Path, spec: Path, silent: int) -> None:  # noqa: F811
    done = doctor(
        tmp_path, spec, "--port", "-1", "--kafka", f"127.0.0.1:{silent}", "--registry", "http://127.0.0.1:9",
        K2_VENUE_WEBSOCKET_URL=f"ws://127.0.0.1:{free_port()}",
    )
    assert done.returncode == 69, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 3
    assert any(line.startswith("FAIL  venue ws://127.0.0.1:") and "connect" in line for line in failed)
    assert any("says nothing" in line for line in failed)
    assert any(line.startswith("FAIL  registry http://127.0.0.1:9: Connection refused") for line in failed)
    assert doctor(tmp_path, spec, "--format", "xml").returncode == 2
