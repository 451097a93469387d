"""The documents say what is: every variable, metric, exit code, command and reason, and no dead links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k2conn import errors
from k2conn.cli.application import application
from k2conn.consumer.settings import VARIABLES as CONSUMER_VARIABLES
from k2conn.errors import REASONS
from k2conn.settings import SPOOL_VARIABLES
from k2conn.sinks import SINKS
from k2conn.variables import CONNECTOR_VARIABLES
from tests.paths import ROOT
from tests.support.exposed_names import families

SINK_VARIABLES = [variable for name in SINKS.built_in for variable in SINKS.get(name).read_from(name)]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize(
    "name",
    [*SINK_VARIABLES, *SPOOL_VARIABLES, *CONSUMER_VARIABLES, *(f"K2_<X>_{one}" for one in CONNECTOR_VARIABLES)],
)
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in OPERATIONS


@pytest.mark.parametrize("name", SINKS.built_in)
def test_the_table_of_sinks_says_what_each_can(name: str) -> None:
    kind = SINKS.get(name)
    abilities = ["yes" if able else "no" for able in (kind.spoolable, kind.processes, kind.registry)]
    assert f"| {' | '.join([f'`{name}`', kind.summary, *abilities])} |" in OPERATIONS


def test_no_variable_is_made_up() -> None:
    source = "".join(path.read_text() for path in (ROOT / "k2conn").rglob("*.py"))
    for name in set(re.findall(r"`(K2_[A-Z_]+)[=`]", OPERATIONS + (ROOT / "README.md").read_text())) - {"K2_"}:
        assert name in source, name


def test_every_metric_is_documented_and_none_is_made_up() -> None:
    real = {name for name in families() if name.startswith("k2conn_")}
    assert set(re.findall(r"`(k2conn_[a-z_]+)`", OPERATIONS)) == real


def test_every_reason_is_documented() -> None:
    assert all(f"`{reason}`" in OPERATIONS for reason in REASONS)


def test_every_exit_code_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.K2Error)]
    for code in {kind.exit_code for kind in kinds} | {0, 1, 65}:
        assert re.search(rf"^\| {code} \|", OPERATIONS, re.MULTILINE), code


def test_the_table_of_commands_is_complete() -> None:
    said = set(re.findall(r"^\| `k2conn (\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    commands = application.registered_commands
    assert said == {one.name or one.callback.__name__ for one in commands if one.callback is not None}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists(), link


def test_the_example_in_the_readme_is_a_connector(tmp_path: Path) -> None:
    from k2conn.compiler.compiler import check_file

    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "kraken.yaml").write_text(text)
    assert check_file(tmp_path / "kraken.yaml")[1] == []
