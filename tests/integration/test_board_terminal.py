"""`k2conn run` and `k2conn top` on a real terminal, 80 by 24, as a person has them: what the screen shows, and how they
end.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port
from tests.support.recordings import environment, k2conn, mock
from tests.support.terminals import terminal

LOOK = re.compile(r"bitfinex +live +[\d.]+ +[\d,]+")
"""The row of the connector, with a rate."""
SIXTEEN = {"default", "black", "red", "green", "brown", "blue", "magenta", "cyan", "white", "brightblack", "brightred",
           "brightgreen", "brightbrown", "brightyellow", "brightblue", "brightmagenta", "brightcyan", "brightwhite"}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to a simulated venue, which sends broken frames, too."""
    with mock(tmp_path_factory.mktemp("venue"), "bitfinex", "--rate", 20, "--garbage-every", 10) as found:
        yield environment(**found)


def run(*words: object) -> list[object]:
    return ["run", "bitfinex", "--sink", "none", "--summary", "sum.json", *words]


def check_books(folder: Path) -> None:
    summary = json.loads((folder / "sum.json").read_text())
    assert (summary["exit_code"], summary["unsent"]) == (0, 0)
    assert summary["connectors"]["bitfinex"]["balanced"] is True
    assert summary["connectors"]["bitfinex"]["published"] > 0


def test_run_shows_the_board_and_ctrl_c_ends_it_with_balanced_books(tmp_path: Path, venue: dict[str, str]) -> None:
    with terminal(run("--port", -1), tmp_path, venue) as shown:
        shown.until(LOOK.search)
        assert shown.colours <= SIXTEEN
        shown.type("3")
        shown.until(lambda text: "BTCUSD" in text and "price " in text)
        shown.type("\r")
        shown.until(lambda text: "as they pass" in text and re.search(r"record +bitfinex", text))
        shown.type("f")
        shown.until(lambda text: "received bitfinex main-0 [" in text)
        shown.type("\x03")
        assert shown.ended() == 0
        said = shown.raw.decode("utf-8", "replace")
    after = said[said.rindex("\x1b[?1049l"):]
    assert "bitfinex: received" in after, "the books come when the terminal is as it was"
    assert "subscribed" in after, "and before them what the log said meanwhile"
    check_books(tmp_path)


def test_q_ends_it_too(tmp_path: Path, venue: dict[str, str]) -> None:
    with terminal(run("--port", -1), tmp_path, venue) as shown:
        shown.until(LOOK.search)
        shown.type("q")
        assert shown.ended() == 0
    check_books(tmp_path)


def test_a_run_that_ends_by_itself_gives_the_terminal_back(tmp_path: Path, venue: dict[str, str]) -> None:
    with terminal(run("--port", -1, "--max-records", 100), tmp_path, venue) as shown:
        assert shown.ended() == 0
        assert shown.raw.rindex(b"\x1b[?1049l") > shown.raw.rindex(b"\x1b[?1049h")
    check_books(tmp_path)


@pytest.mark.parametrize("words", [["--no-board"], ["--daemon"], []])
def test_where_nobody_wants_a_board_there_is_the_log(tmp_path: Path, venue: dict[str, str], words: list[str]) -> None:
    """Without words: the log is for machines, by its variable."""
    variables = venue if words else {**venue, "K2_LOG_FORMAT": "json"}
    with terminal(run("--port", -1, "--max-records", 50, *words), tmp_path, variables) as shown:
        assert shown.ended() == 0
        assert b"\x1b[?1049h" not in shown.raw
        assert b"subscribed" in shown.raw


def test_without_the_library_there_is_the_log_and_a_hint(tmp_path: Path, venue: dict[str, str]) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as found\nown = found.find_spec\n"
        "found.find_spec = lambda name, package=None: None if name == 'textual' else own(name, package)\n"
    )
    variables = {**venue, "PYTHONPATH": str(tmp_path)}
    with terminal(run("--port", -1, "--max-records", 50), tmp_path, variables, columns=200) as shown:
        assert shown.ended() == 0
        assert b"\x1b[?1049h" not in shown.raw
        assert shown.raw.count(b"k2conn[top]") == 1
    with terminal(["top"], tmp_path, variables, columns=200) as shown:
        assert shown.ended() == 2
        assert b"k2conn[top]" in shown.raw


@pytest.mark.deploy
def test_top_watches_a_process_that_goes_and_comes(tmp_path: Path, venue: dict[str, str]) -> None:
    port = free_port()

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "k2conn", *map(str, run("--port", port))]
        return subprocess.Popen(words, cwd=tmp_path, env=venue, stderr=subprocess.DEVNULL)

    with terminal(["top", "--at", f"http://127.0.0.1:{port}"], tmp_path, venue) as shown:
        shown.until(lambda text: "no k2conn answers" in text)
        with start() as process:
            shown.until(LOOK.search)
            shown.type("\r")
            shown.until(lambda text: re.search(r"bitfinex +trade", text))
            shown.type("4")
            shown.until(lambda text: "malformed-frame" in text)
            process.terminate()
            assert process.wait(60) == 0
        shown.until(lambda text: "no k2conn answers" in text)
        assert "malformed-frame" in shown.text, "what was known last stays"
        with start() as process:
            shown.type("1")
            shown.until(lambda text: "no k2conn answers" not in text and LOOK.search(text))
            shown.type("\x03")
            assert shown.ended() == 0
            process.terminate()
            assert process.wait(60) == 0


def test_top_wants_a_terminal(tmp_path: Path) -> None:
    done = k2conn(tmp_path, "top")
    assert (done.returncode, "needs a terminal" in done.stderr, "k2conn status" in done.stderr) == (2, True, True)


def test_the_log_says_how_far_it_is(tmp_path: Path, venue: dict[str, str]) -> None:
    """A line after so many records, but not more than one a second, with the latest record's own fields."""
    began = time.monotonic()
    done = k2conn(tmp_path, "run", "bitfinex", "--sink", "none", "--port", -1, "--duration", "4s", "--daemon",
                  "--streams", "trade", "--progress", "5", **{**venue, "K2_PROGRESS": "off"})
    lines = [json.loads(one) for one in done.stderr.splitlines()]
    found = [one for one in lines if one["event"] == "progress"]
    assert 1 <= len(found) <= time.monotonic() - began
    last = found[-1]
    assert last["records"] >= 5
    assert last["symbol"] in ("BTCUSD", "ETHUSD")
    assert last["stream"] == "trade"
    assert re.fullmatch(r"[\d.]+", last["price"])
    assert re.fullmatch(r"[\d.]+", last["quantity"])
    assert last["side"] in ("BUY", "SELL")
    assert last["errors"] >= 0
    assert last["per_second"] > 0


def test_a_progress_that_is_none_is_refused(tmp_path: Path) -> None:
    done = k2conn(tmp_path, "run", "bitfinex", "--sink", "none", **{"K2_PROGRESS": "often"})
    assert (done.returncode, "K2_PROGRESS" in done.stderr, "often" in done.stderr) == (2, True, True), done.stderr
