"""What commands print comes out as it is: no markup, no emoji, nothing cut on a narrow terminal, any encoding."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any, cast

import pytest

from k2conn.cli import certify, explain, plan, screen, status, test, validate
from k2conn.cli import list as list_command
from k2conn.cli.live_table import LiveTable, TableRow, TimedRunner
from k2conn.cli.screen import Column, Styled
from k2conn.runner.connection_state import ConnectionState
from k2conn.tools.certify.certification import CertificationOutcome, ScenarioRun
from k2conn.tools.certify.crash_losses import CrashLosses
from k2conn.tools.certify.proof import Proof, ProofRow
from tests.integration.test_cli import COMMANDS
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, trade, trades

ODD = "[x] [/foo] [red]r[/] :100: :smile:"
"""Words of rich's own language, which a venue may use for anything."""

ODD_SPEC = (
    HEAD.replace("asset_class: crypto\n", f"asset_class: crypto\nmarket: '{ODD}'\n").replace("/ws\n", "/ws?[x]:100:/\n")
    + SUBSCRIBE.replace("op: sub, ch: trade", f"op: sub, note: '{ODD}', ch: trade", 1)
    + STREAMS.replace("price: p", f"""price: '"{ODD}"'""", 1)
)
TESTS = f"""
tests:
  - name: '{ODD}'
    received: {{ch: trade, data: [{{s: BTC-USD, i: 1, '{ODD}': "7", q: "1", t: 1767323045678, d: buy}}]}}
    records: [{{price: "PRICE"}}]
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "venue.yaml"
    path.write_text(ODD_SPEC + TESTS.replace("PRICE", "7"))
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


# -- markup


def test_all_commands_are_looked_at() -> None:
    """A command that prints tables for people has a test here; one that is new is put into one of the two lists."""
    tables = {"certify", "demo", "explain", "list", "plan", "status", "test"}
    lines = {"docs", "eval", "map", "mock", "new", "run", "validate"}
    later = set(COMMANDS) - tables - lines
    for name in later:  # of a command that came since, at least that it does not draw by itself
        path = Path(screen.__file__).with_name(f"{name}.py")
        source = path.read_text() if path.exists() else ""  # else it is another command's, with other options
        assert "import rich" not in source
        assert "from rich" not in source


@pytest.mark.parametrize("show", ["list", "explain", "plan", "test"])
def test_commands_print_a_files_words_as_they_stand(
    show: str, odd: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if show == "list":
        monkeypatch.setattr(list_command, "shipped", lambda: [odd])
        list_command.run("text")
    elif show == "explain":
        explain.run(str(odd), None)
    elif show == "plan":
        plan.run(str(odd), None, None, True)
    else:
        assert test.run([str(odd)], True) == 0
    out = capsys.readouterr().out
    assert ODD in out
    if show in ("list", "explain"):
        assert "https://docs.example/ws?[x]:100:/" in out
    if show == "explain":
        assert out.count(ODD) == 3  # the market, the frame that is sent, the expression


def test_what_a_test_expected_and_found_stands_as_it_is(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd.write_text(ODD_SPEC + TESTS.replace('price: "PRICE"', f"symbol: '{ODD}'"))
    assert test.run([str(odd)], False) == 1
    out = capsys.readouterr().out
    assert f": {ODD}\n" in out
    assert re.search(rf"expected .*{re.escape(ODD)}", out)
    assert validate.run([str(odd)], "text") == 78
    assert ODD in capsys.readouterr().out


def test_status_prints_a_venues_words_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    status.show(cast(Any, state(ODD)), screen.screen())
    out = capsys.readouterr().out
    assert out.count(ODD) == 9, out


def test_certify_prints_words_as_they_stand() -> None:
    out = io.StringIO()
    certify.show([outcome(ODD)], screen.screen(out, 500))
    assert out.getvalue().count(ODD) >= 8, out.getvalue()


def test_the_demos_table_prints_words_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn([row(ODD, ODD, ODD, "64,000.01")], 400, monkeypatch).count(ODD) == 3


def test_control_characters_of_strangers_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    status.show(cast(Any, state("\x1b]0;owned\x07\u202e")), screen.screen())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert r"\x1b]0;owned\x07\u202e" in out


# -- width


LONG = "1000000MOGUSDT-PERPETUAL-270326"


@pytest.mark.parametrize("width", [120, 80, 50])
def test_the_demos_table_drops_columns_and_cuts_nothing(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("crypto-com-derivatives", "trade", "BTCUSDT", "64,000.01"),
            row("binance", "quote", LONG, "0.00000012345678")]
    lines = drawn(rows, width, monkeypatch).splitlines()
    assert max(map(len, lines)) <= width
    for one in rows:
        assert any(one.symbol in line and one.price in line for line in lines)
    assert not any("…" in line for line in lines)
    if width == 120:
        assert any("crypto-com-derivatives" in line and "records/s" not in line for line in lines)


@pytest.mark.deploy
@pytest.mark.parametrize("width", ["80", "50"])
@pytest.mark.parametrize("command", [["list"], ["explain", "kraken"], ["plan", "kraken"], ["test", "kraken", "-v"]])
def test_narrow_terminals_show_names_whole(command: list[str], width: str) -> None:
    out = in_terminal(command, int(width))
    assert "…" not in out
    shown = {"list": ["gate-io-futures", "crypto-com-derivatives"], "explain": ["bid_quantity", "vendor_data.ord_type"],
             "plan": ["main-0"], "test": ["passes"]}[command[0]]
    for name in shown:
        assert name in out


@pytest.mark.parametrize("width", [80, 50])
def test_narrow_status_shows_names_and_counts_whole(width: int) -> None:
    out = io.StringIO()
    status.show(cast(Any, state("words of the venue")), screen.screen(out, width))
    text = out.getvalue()
    assert "…" not in text
    (found,) = [line for line in text.splitlines() if line.startswith("trade ") and "symbols" not in line and
                "123456789" in line]
    assert found.split()[1:3].count("123456789") >= 1
    assert any(line.startswith("main-0 ") for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 50])
def test_narrow_certificates_show_the_figures_that_count(width: int) -> None:
    out = io.StringIO()
    certify.show([outcome("as usual")], screen.screen(out, width))
    lines = out.getvalue().splitlines()
    assert "…" not in out.getvalue()
    figures = next(line for line in lines if "BTCUSDT" in line and "balanced" in line)
    assert figures.split()[:3] == ["trade", "BTCUSDT", "1000"]


def test_the_least_important_column_leaves_first() -> None:
    columns = (Column("name"), Column("price", right=True), Column("note", leaves=2), Column("state", leaves=1))
    rows = [("BTCUSD", "64000.01", "a long remark", Styled("live", "green"))]

    def heads(width: int) -> list[str]:
        out = io.StringIO()
        screen.screen(out, width).print(screen.table(columns, rows, width))
        return out.getvalue().splitlines()[0].split()

    assert heads(40) == ["name", "price", "note", "state"]
    assert heads(30) == ["name", "price", "state"]
    assert heads(20) == ["name", "price"]


def test_pipes_have_whole_lines() -> None:
    given = {name: text for name, text in environment().items() if name != "COLUMNS"}
    done = warm_process.k2conn("list", env=given)
    assert any(line.startswith("kraken ") and "https://" in line for line in done.stdout.splitlines())


def test_the_demo_in_a_terminal() -> None:
    for width in (80, 50):
        out = in_terminal(["demo", "--duration", "2s"], width)
        assert "…" not in out
        assert re.search(r"BTCUSDT +.*6[34],\d{3}\.\d\d", out), out[-3000:]


# -- encodings


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "cp1252"])
def test_any_text_comes_through_any_terminal(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "venue.yaml"
    path.write_text(HEAD + SUBSCRIBE + STREAMS)
    frames = "\n".join([trades(trade(1, i="币安人生é😀")), json.dumps({"what": "é😀"}, ensure_ascii=False)])
    done = subprocess.run(
        [sys.executable, "-m", "k2conn", "map", str(path)], env=environment(PYTHONIOENCODING=encoding),
        input=frames.encode(), capture_output=True, check=False, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding))["record"]["trade_id"] == "VENUE-币安人生é😀"
    assert "unrecognised, 1 frame like: " in done.stderr.decode(encoding)


# -- what the tests above look at


def state(words: str) -> dict[str, Any]:
    """An answer of /health that has some words wherever it can."""
    stream = {
        "received": 123456789, "published": 123456789, "duplicates": 1234567, "dead_letters": 123, "in_flight": 45,
        "lost": 0, "gaps": 12, "missing": 345, "states": {words: 2},
        "worst": [{"symbol": words, "state": "quiet", "reason": words, "seconds_since_data": 12.5}],
    }
    connection = {
        "socket": "main-0", "state": "live", "detail": words, "host": words, "symbols": 200, "confirmed": 200,
        "seconds_connected": 86400.1, "seconds_since_data": 0.1,
    }
    return {
        "status": "ok", "version": "1", "waiting_for": [words], "sink": {"kind": words},
        "connectors": {"venue": {
            "state": "live", "ledger": words, "streams": {"trade": stream}, "sockets": [connection],
            "endpoints": {"main": [{"host": words, "breaker": "closed", "opened": 0}]},
        }},
    }


def outcome(words: str) -> CertificationOutcome:
    """A certification that has some words wherever it can."""
    symbol = "BTCUSDT" if words == "as usual" else words
    proof = Proof([ProofRow("trade", symbol, 1000, 1000)], [words])
    trials = [ScenarioRun(words, words, seen=[words]), ScenarioRun("kill", words, skipped=f"not run: {words}")]
    return CertificationOutcome(words, "VENUE", "file", 0, 20.0, 1.0, trials, proof, 0, cast(Any, {}), [words],
                                [CrashLosses("trade", symbol)])


def row(connector: str, stream: str, symbol: str, price: str) -> TableRow:
    return TableRow(connector, stream, symbol, 123.4, price, 12.0, 1234567, ConnectionState.LIVE)


def drawn(rows: list[TableRow], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The demo's table of some rows."""
    monkeypatch.setattr(LiveTable, "lines", lambda self: iter(rows))
    out = io.StringIO()
    screen.screen(out, width).print(LiveTable(cast(TimedRunner, None)).table(width))
    return out.getvalue()


def in_terminal(command: list[str], width: int) -> str:
    """What a command prints on a terminal of so many columns, without the colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 60, width, 0, 0))
    given = {name: text for name, text in environment().items() if name not in ("COLUMNS", "LINES")}
    process = warm_process.started(*command, env={**given, "TERM": "xterm"}, stdin=follower, stdout=follower,
                                   stderr=follower)
    os.close(follower)
    found = b""
    while True:
        try:
            read = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not read:
            break
        found += read
    os.close(leader)
    assert process.wait(timeout=60) == 0, found
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.decode())
