"""docs/reference-data.md, word for word: a record type of one's own, a connector of files, a table that SQL knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_run import environment
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "reference-data.md").read_text()
BLOCKS = re.findall(r"(?:`([\w./-]+)`:\n\n)?```(\w+)\n(.*?)```\n", PAGE, re.DOTALL)
ROWS, SAID = (text for _, kind, text in BLOCKS if kind == "csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page has, in an empty folder, and `k2conn` on the path."""
    for name, _, text in BLOCKS:
        if name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    (tmp_path / "company_info.csv").write_text(ROWS)
    return tmp_path


def shell(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["bash", "-euc", commands], cwd=folder, env=environment(PATH=path), capture_output=True,
                          text=True, check=False, timeout=120)


@pytest.mark.deploy
def test_the_commands_do_what_the_page_says(folder: Path) -> None:
    (commands,) = (text for _, kind, text in BLOCKS if kind == "console")
    done = shell(folder, commands)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"asx-companies.yaml: talks to nobody\n{SAID}"


@pytest.mark.deploy
def test_a_row_that_says_something_else_is_a_new_state(folder: Path) -> None:
    load = "export K2_SCHEMAS=schemas; k2conn load asx-companies.yaml company_info.csv --sink iceberg"
    assert shell(folder, load).returncode == 0
    renamed = ROWS.splitlines()[0].replace("BILLITON ", "").replace("05/07/2008", "11/19/2018")
    with (folder / "company_info.csv").open("a") as file:
        file.write(f"{renamed}\n")
    sql = "SELECT company_name, (SELECT count(*) FROM companies_v2) FROM companies ORDER BY symbol"
    done = shell(folder, f"{load}; k2conn query '{sql}' --format csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["BHP LTD,3", "RIO TINTO LTD,3"]
