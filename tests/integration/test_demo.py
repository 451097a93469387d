"""`k2conn demo` and `k2conn mock` as a user starts them: in a process of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fastavro
import pytest

from k2conn.cli.demo import shown_by_default
from k2conn.cli.loading import shipped
from tests.paths import ROOT
from tests.support import warm_process


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A k2conn command, its output to be read."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("K2_")}
    return warm_process.started(
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
    )


def end(process: subprocess.Popen[str], within: float = 60) -> tuple[str, str]:
    """What it said by its end."""
    try:
        return process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def test_the_demo_shows_connectors_that_ship() -> None:
    assert set(shown_by_default()) <= {path.stem for path in shipped()}


def test_all_that_the_demo_sends_is_on_disk(tmp_path: Path) -> None:
    process = start("demo", "--duration", "2s", "--rate", "50", "--folder", str(tmp_path))
    out, err = end(process)
    assert process.returncode == 0, err
    sent = [int(line.split("sent ")[1].split(";")[0]) for line in out.splitlines() if ": sent " in line]
    assert len(sent) == len(shown_by_default())
    assert min(sent) > 100
    records = 0
    for file in tmp_path.rglob("*.avro"):
        with file.open("rb") as stream:
            records += sum(1 for _ in fastavro.reader(stream))
    assert records == sum(sent)


def test_the_demos_prices_are_plausible() -> None:
    process = start("demo", "--duration", "3s", "--plain", "--connectors", "binance,kraken,coinbase,okx,phemex")
    out, err = end(process)
    assert process.returncode == 0, err
    last = {line.split(":")[0]: line for line in out.splitlines() if "records/s" in line}
    for name in ("binance", "kraken", "coinbase", "okx", "phemex"):
        found = re.findall(r"([\w-]+) ([\d,]+\.?\d*)", last[name])
        prices = {symbol: price.replace(",", "") for symbol, price in found}
        bitcoin = next(price for symbol, price in prices.items() if symbol.startswith("BTCUSD"))
        assert 50_000 < float(bitcoin) < 80_000, last[name]
        for symbol, price in prices.items():
            assert not symbol.startswith("ETHUSD") or 2_000 < float(price) < 5_000, last[name]


@pytest.mark.deploy
def test_the_demos_hints_run_as_they_are_printed(tmp_path: Path) -> None:
    """From the folder where it was called, by the program that was called."""
    script = Path(sys.executable).with_name("k2conn")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("K2_")}
    command = [script, "demo", "--duration", "2s", "--folder", tmp_path / "a b"]
    process = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=True, timeout=60)
    hints = [line.strip() for line in process.stdout.splitlines() if re.match(r"  \S*(k2conn|python\S*)'? ", line)]
    assert len(hints) == 5
    mock = start("mock", "binance", "--rate", "50")
    assert mock.stdout is not None
    name, _, url = mock.stdout.readline().strip().partition("=")
    try:
        for hint in hints[:4]:
            done = subprocess.run(hint, shell=True, cwd=tmp_path, env={**clean, name: url, "K2_METRICS_PORT": "0"},
                                  capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, (hint, done.stderr)
        assert len(done.stdout.splitlines()) == 10
        # The last one needs Kafka: here it finds none, and says so in those words.
        refused = hints[4].replace("localhost:9092", "localhost:1").replace("localhost:8081", "localhost:2")
        done = subprocess.run(refused, shell=True, cwd=tmp_path, env={**clean, name: url, "K2_METRICS_PORT": "0"},
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 69
        assert "localhost:2" in done.stderr or "localhost:1" in done.stderr
    finally:
        mock.terminate()
        end(mock)


def test_the_demo_ends_in_order_when_interrupted(tmp_path: Path) -> None:
    process = start("demo", "--folder", str(tmp_path))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = end(process)
    assert process.returncode == 0, err
    assert "in flight 0 + lost 0" in out


def test_run_talks_to_the_mock_by_the_variables_it_prints(tmp_path: Path) -> None:
    mock = start("mock", "kraken", "--rate", "100", "--limit", "10")
    assert mock.stdout is not None
    name, _, value = mock.stdout.readline().strip().partition("=")
    assert name == "K2_KRAKEN_WEBSOCKET_URL"
    run = start("run", "kraken", "--sink", "file", "--folder", str(tmp_path), "--max-records", "40", "--port", "-1",
                **{name: value})
    _, said = end(run)
    assert run.returncode == 0, said
    assert "received 40 = published 40" in said
    began = time.monotonic()
    mock.send_signal(signal.SIGINT)
    _, said = end(mock)
    assert mock.returncode == 0
    assert time.monotonic() - began < 20
    assert "kraken: 1 connections, 40 data frames" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["mock", "kraken", "--duration", "soon"], "--duration 'soon': a number or a duration"),
        (["mock", "kraken", "kraken"], "named twice"),
        (["mock", "kraken", "binance", "--symbols", "X"], "for one connector"),
        (["demo", "--duration", "5 parsecs"], "a number or a duration"),
    ],
)
def test_wrong_options_are_reported(arguments: list[str], problem: str) -> None:
    process = start(*arguments)
    _, err = end(process)
    assert process.returncode == 2
    assert problem in err
