"""`k2conn demo --section ...` as a process: a lake is filled, asked and drawn."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from k2conn.cli.demo import shown_by_default
from k2conn.cli.demo_lake import queries
from k2conn.errors import SettingsError
from tests.integration.test_demo import end, start
from tests.integration.test_run import environment
from tests.paths import ROOT
from tests.support.lakes import lake, read, writer

KINDS = ("trades", "quotes")
COUNTS = "SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM quotes)"


def sent(out: str) -> int:
    """How much the exchanges say that they have sent."""
    found = [int(number) for number in re.findall(r": sent (\d+);", out)]
    assert len(found) == len(shown_by_default())
    return sum(found)


@pytest.mark.deploy
def test_all_of_it_from_exchanges_to_a_chart(tmp_path: Path) -> None:
    folder = tmp_path / "it's a 'demo'; $HOME"
    process = start("demo", "--section", "ALL", "--duration", "3s", "--folder", str(folder), COLUMNS="80",
                    PYTHONIOENCODING="utf-8")
    out, err = end(process, 120)
    assert process.returncode == 0, err
    ((trades, quotes),) = read(lake(folder), COUNTS, *KINDS)
    assert trades + quotes == sent(out) > 300
    assert f"{sent(out):,} records were published, {sent(out):,} rows are in the tables." in out
    assert [line for line in out.splitlines() if line.startswith("==")] == [
        "== Ingestion ==", "== Storage ==", "== Query =="]
    shown = out[out.index("== Query =="):out.index("The same as a picture")].splitlines()
    assert max(map(len, shown)) <= 80
    chart = out[out.index("(hollow: rising"):out.index("The same as a picture")]
    assert set("░█│┤") & set(chart) >= {"│", "┤"}
    root = ElementTree.parse(folder / "chart.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    drawn = len(root.findall("{http://www.w3.org/2000/svg}g"))
    symbol = re.search(r"How did the price of (\w+) (\w+) go", out)
    assert symbol is not None
    ((seconds,),) = read(lake(folder), "SELECT count(DISTINCT epoch_us(timestamp) // 1000000) FROM trades "
                         f"WHERE exchange = '{symbol[1]}' AND symbol = '{symbol[2]}'")
    assert drawn == seconds
    hints = [line.strip() for line in out.splitlines() if line.strip().startswith("K2_LAKE_FOLDER=")]
    assert len(hints) == 3
    for hint in hints[:2]:
        done = subprocess.run(hint, shell=True, cwd=ROOT, env=environment(), capture_output=True, text=True,
                              check=False, timeout=120)
        assert (done.returncode, "5 rows" in done.stderr) == (0, True), done.stderr


@pytest.mark.deploy
def test_a_lake_that_is_there_is_asked_and_not_filled(tmp_path: Path) -> None:
    process = start("demo", "--section", "storage", "--duration", "2s", "--folder", str(tmp_path))
    out, err = end(process, 120)
    assert process.returncode == 0, err
    assert "== Query ==" not in out
    before = read(lake(tmp_path), COUNTS, *KINDS)
    process = start("demo", "--section", "query", "--folder", str(tmp_path), PYTHONIOENCODING="ascii")
    out, err = end(process, 120)
    assert process.returncode == 0, err
    assert "sent" not in out
    assert out.isascii()
    assert read(lake(tmp_path), COUNTS, *KINDS) == before


def test_ctrl_c_ends_the_exchanges_and_what_came_is_shown(tmp_path: Path) -> None:
    """And where real records go is nothing to a demo, whatever the environment says."""
    real = {"K2_LAKE_FOLDER": str(tmp_path / "real"), "K2_KAFKA_BOOTSTRAP_SERVERS": "localhost:1", "K2_SINK": "kafka"}
    process = start("demo", "--section", "all", "--duration", "60s", "--plain", "--folder", str(tmp_path), **real)
    assert process.stdout is not None
    first = ""
    while "on disk" not in first or " 0 on disk" in first:
        first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = end(process, 120)
    assert process.returncode == 0, err
    assert "rows are in the tables" in out
    assert (tmp_path / "chart.svg").exists()
    assert not (tmp_path / "real").exists()


def test_a_lake_of_nothing_has_no_chart(tmp_path: Path) -> None:
    writer(lake(tmp_path))
    with pytest.raises(SettingsError, match="nothing was traded"):
        queries(lake(tmp_path), tmp_path)
    assert not (tmp_path / "chart.svg").exists()


@pytest.mark.parametrize(("words", "problem"), [
    (("--section", "everything"), "--section everything; known: ingestion, storage, query, all"),
    (("--registry", "http://localhost:1"), "--registry needs --kafka"),
])
def test_wrong_options_are_reported(words: tuple[str, ...], problem: str) -> None:
    process = start("demo", *words)
    _, err = end(process, 60)
    assert process.returncode == 2
    assert problem in err


def test_without_its_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    """Nothing is played before that is known."""
    code = "import sys; sys.modules['pyiceberg'] = None; sys.argv[0] = 'k2conn'; from k2conn.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "demo", "--section", "all", "--folder", str(tmp_path)],
                          capture_output=True, text=True, check=False, timeout=120, env=environment(), cwd=ROOT)
    assert done.returncode == 2
    assert "pip install 'k2conn[lake]'" in done.stderr
    assert done.stdout == ""
