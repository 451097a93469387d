"""The threat model names tests that exist, and the table of limits names variables that something reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from k2conn.settings import SPOOL_VARIABLES
from k2conn.sinks import SINKS
from k2conn.variables import CONNECTOR_VARIABLES, PROCESS_VARIABLES, is_setting
from tests.paths import ROOT

SECURITY = (ROOT / "SECURITY.md").read_text()
LIMITS = (ROOT / "docs" / "limits.md").read_text()
HEAD = "| rule | limit | test |"
WHO = (
    "Spec author", "Venue", "Network", "Local user", "HTTP client", "Kafka and the registry", "Databases", "Files",
    "The lake", "Supply chain",
)
BAD_SPECS = ROOT / "tests" / "unit" / "compiler" / "bad_specs"


def sections() -> dict[str, str]:
    """The text below each heading of the page, by the heading."""
    parts = re.split(r"^## (.+)$", SECURITY, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str, head: str) -> Iterator[list[str]]:
    """The cells of a table's rows."""
    inside = False
    for line in text.splitlines():
        if line == head:
            inside = True
        elif inside and not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("who", WHO)
def test_every_stranger_has_a_section_of_rules_with_their_tests(who: str) -> None:
    (text,) = (text for name, text in sections().items() if name.startswith(who))
    assert "*Who:*" in text
    assert "*What they may try:*" in text
    found = list(rows(text, HEAD))
    assert found
    before = ""
    for rule, _, test in found:
        before = before if test.startswith("the same") else test
        assert re.search(r"`tests/|`python -m benchmarks", before), rule


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", SECURITY))))
def test_a_test_that_the_page_names_exists(named: str) -> None:
    place, _, name = named.partition("::")
    place, *selection = place.split(" -k ")
    assert (ROOT / place).exists()
    text = (ROOT / place).read_text() if (ROOT / place).is_file() else ""
    tests = set(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))
    if name:
        assert name.partition("[")[0] in tests
    if selection:
        assert any(selection[0] in test for test in tests)


def test_a_file_of_bad_specs_that_the_page_names_exists() -> None:
    named = re.findall(r"`bad_specs/([^`]+)`", SECURITY)
    assert named
    assert all((BAD_SPECS / one).exists() for one in named)


def test_every_variable_among_the_limits_is_one() -> None:
    by_sink = {variable for name in SINKS.built_in for variable in SINKS.get(name).read_from(name)}
    source = "".join(path.read_text() for path in (ROOT / "k2conn").rglob("*.py"))
    known = {*by_sink, *SPOOL_VARIABLES, *PROCESS_VARIABLES, *re.findall(r'"(K2_[A-Z_]+[A-Z])"', source)}
    for name in re.findall(r"`(K2_[A-Z_<>]+)`", LIMITS):
        own = name.removeprefix("K2_<X>_")
        assert own in CONNECTOR_VARIABLES if own != name else name in known, name


def test_every_limit_says_what_happens_beyond_it() -> None:
    found = list(rows(LIMITS, "| what | default | variable | what happens beyond |"))
    assert found
    for row in found:
        assert len(row) == 4, row
        assert row[0], row
        assert row[1], row
        assert row[3], row


def test_no_connector_file_reads_a_setting_of_a_sink() -> None:
    for name in SINKS.built_in:
        for variable in SINKS.get(name).read_from(name):
            assert is_setting(variable), variable
