"""docs/seeds.md has every row once, says what it means by its words, and names files and tests that exist."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.paths import ROOT
from tests.project.test_security import rows

PAGE = (ROOT / "docs" / "seeds.md").read_text()
HEAD = "| id | what was asked | state | where it is, what differs, what is missing | shown by |"
ROWS = list(rows(PAGE, HEAD))
ASKED = {"S0": 28, "S1": 31, "S2": 70, "S3": 40, "S4": 46}
"""How many rows each document has."""
FOLDERS = "k2conn|docs|tests|connectors|schemas|benchmarks|deploy"
PATHS = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w/?)(?:::(test_\w+))?")


def test_every_row_is_there_once() -> None:
    wanted = [f"{name}-{number:02}" for name, count in ASKED.items() for number in range(1, count + 1)]
    assert [row[0] for row in ROWS] == wanted
    assert len(wanted) == 215


def test_the_table_of_states_counts_them() -> None:
    said = {row[0]: int(row[2]) for row in rows(PAGE, "| state | means | rows |")}
    assert said == dict(Counter(row[2] for row in ROWS))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_a_row_names_exists(row: list[str]) -> None:
    _, asked, state, where, shown = row
    assert asked
    assert where
    named = PATHS.findall(f"{where} {shown}")
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), test
    if state in ("done", "differently"):
        assert re.search("`tests/", shown), "what is there is shown by a test"
