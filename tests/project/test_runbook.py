"""The runbook has an entry for each alert, each exit code and each warning or error that k2conn can log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2conn import errors
from k2conn.engine.accounting.troubles import TroubleKind
from tests.paths import ROOT
from tests.project.test_alerts_and_dashboards import ALERTS

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^### (\S.*)\n((?:(?!^##).*\n)*)", RUNBOOK, re.MULTILINE))
LOUD = {"warning", "error", "critical"}
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def events(path: Path) -> Iterator[str]:
    """What a module may log as a warning or an error, `…` in the place of each argument."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOUD):
            continue
        if not re.search(r"log", ast.unparse(node.func.value), re.IGNORECASE) or not node.args:
            continue
        said = [node.args[0]]
        if isinstance(node.args[0], ast.Name):  # decided a line or two before
            said = assigned(path, node.args[0].id)
        for one in said:
            for text in texts(one):
                shown = re.sub(r"%[sdr]", "…", text)
                if re.search(r"\w", shown):
                    yield shown


def assigned(path: Path, name: str) -> list[ast.expr]:
    """All that a module assigns to a name."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assign)]
    return [node.value for node in found if any(isinstance(to, ast.Name) and to.id == name for to in node.targets)]


def texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return []


def all_events() -> set[str]:
    found = {text for path in (ROOT / "k2conn").rglob("*.py") for text in events(path)}
    return found | {str(kind) for kind in TroubleKind} | {f"{kind}: more of them" for kind in TroubleKind}


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_symptom_cause_and_cure(name: str) -> None:
    words = re.findall(r"^\*\*(\w+)\.\*\*", SECTIONS[name], re.MULTILINE)
    assert words == ["Symptom", "Cause", "Cure"]


def test_no_alert_is_made_up() -> None:
    alerts = RUNBOOK[RUNBOOK.index("## Alerts") : RUNBOOK.index("## Exit codes")]
    assert set(re.findall(r"^### (\S+)$", alerts, re.MULTILINE)) == ALERTS.keys()


def test_each_exit_code_has_its_row() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.K2Error)]
    rows = dict(re.findall(r"^\| (\d+) \| (.+ \| .+ \| .+) \|$", RUNBOOK, re.MULTILINE))
    assert {str(kind.exit_code) for kind in kinds} | {"0", "1", "65"} <= rows.keys()


def test_each_warning_and_error_has_its_row_and_none_is_made_up() -> None:
    rows = {name: (cause, cure) for name, cause, cure in ROW.findall(RUNBOOK[RUNBOOK.index("## Log events") :])}
    assert all_events() == rows.keys()


def test_what_is_logged_is_found(tmp_path: Path) -> None:
    module = tmp_path / "one.py"
    module.write_text('log.warning("a %s of %d", 1, 2)\nself._log.error("b" if x else "c")\nlog.info("d")\n'
                      'text = "e" if y else "f"\nget_logger().warning(text)\nlog.warning("%s", z)\n')
    assert set(events(module)) == {"a … of …", "b", "c", "e", "f"}


def test_links_within_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors
