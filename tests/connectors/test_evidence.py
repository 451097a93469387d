"""How sure a shipped file is: each says it, and says no more than is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k2conn.cli.evidence import rests_on
from k2conn.compiler.compiler import check_text
from k2conn.resources import connectors_folder
from release import gallery
from tests.paths import ROOT
from tests.support.shipped import load

NAMES = sorted(path.stem for path in connectors_folder().glob("*.yaml"))
COMPARED = json.loads((Path(__file__).parent / "agreement.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_connector_says_what_it_rests_on(name: str) -> None:
    """Recorded are those whose recorded frames are compared; `test_corpus.py` sees to the figures."""
    assert load(name).evidence in ({"recorded"} if name in COMPARED else {"documented", "memory"})
    page = (ROOT / "docs" / "connectors" / f"{name}.md").read_text()
    assert f"\nEvidence: {rests_on(load(name).evidence)}.\n" in page


def test_another_word_is_no_evidence() -> None:
    text = (connectors_folder() / "kraken.yaml").read_text().replace("evidence: recorded", "evidence: sure")
    _, problems = check_text("kraken.yaml", text, connectors_folder())
    line = 1 + text.splitlines().index("evidence: sure")
    assert [(problem.code, problem.line) for problem in problems] == [("value", line)]


def test_a_file_may_leave_it_out() -> None:
    text = (connectors_folder() / "kraken.yaml").read_text().replace("evidence: recorded\n", "")
    plan, problems = check_text("kraken.yaml", text, connectors_folder())
    assert problems == []
    assert plan is not None
    assert rests_on(plan.evidence) == "(not said)"


def test_the_gallery_tells_those_that_were_never_compared_by_what_they_rest_on() -> None:
    lines = list(gallery.page())
    for name in set(NAMES) - set(COMPARED):
        (line,) = [one for one in lines if f"[{name}](" in one]
        about = {"documented": "Written from the venue's public documentation", "memory": "Written from memory"}
        assert line.startswith(about[load(name).evidence])
