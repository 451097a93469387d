"""The last lines of a run: how many Kafka tests ran, and which tests were skipped although none should be.

`.ci/run` reads both. What may be skipped, and why, is written in `tests/allowed_skips.yaml`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.plugins.servers import SKIP_KAFKA

ROOT = Path(__file__).parents[2]
ALLOWED = ROOT / "tests" / "allowed_skips.yaml"
SERVERS = {"broker", "registry", "own_broker", "own_registry"}


def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that prints; the reports of the others come there."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Account(allowed()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whoever asks for a server, so that none escapes; skip where the environment says so."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")
        kafka = item.get_closest_marker("kafka") is not None
        if kafka and os.environ.get(SKIP_KAFKA) == "1":
            item.add_marker(pytest.mark.skip(reason=f"{SKIP_KAFKA}=1"))
        # The report carries it to the process that prints.
        item.user_properties.append(("kafka", kafka))


@dataclass(frozen=True)
class Allowed:
    """One entry of the list: the tests, what they say, and the path whose absence makes them say it."""

    tests: str
    says: str
    absent: str
    why: str

    def covers(self, test: str, reason: str) -> bool:
        """Whether a skip is this one; where the path is there, none is."""
        return fnmatchcase(test, self.tests) and self.says in reason and self.expected

    @property
    def expected(self) -> bool:
        """Whether these tests are skipped here."""
        return not (ROOT / self.absent).exists()


def allowed() -> list[Allowed]:
    """The list; an entry with a missing or a strange word raises TypeError."""
    return [Allowed(**entry) for entry in yaml.safe_load(ALLOWED.read_text()) or []]


class Account:
    """What became of the Kafka tests and which tests were skipped."""

    def __init__(self, allowed: list[Allowed]) -> None:
        self._allowed = allowed
        self._kafka_run: set[str] = set()
        self._kafka_skipped: set[str] = set()
        self._skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, by its mark or by itself, did not run."""
        test = report.nodeid
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[test] = _reason(report)
        if ("kafka", True) in report.user_properties:
            if report.skipped:
                self._kafka_skipped.add(test)
            elif report.when == "call":
                self._kafka_run.add(test)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that was skipped as a whole."""
        if report.skipped:
            self._skipped[report.nodeid] = _reason(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """The lines."""
        for line in self.lines(whole=_is_whole(config)):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"kafka tests: {len(self._kafka_run)} run, {len(self._kafka_skipped)} skipped")

    def lines(self, whole: bool) -> list[str]:
        """What was skipped: allowed, not allowed and, in a run of the whole suite, allowed for nothing."""
        listed: dict[Allowed, int] = defaultdict(int)
        others: dict[str, list[str]] = defaultdict(list)
        for test, reason in sorted(self._skipped.items()):
            entry = next((one for one in self._allowed if one.covers(test, reason)), None)
            if entry is None:
                others[reason].append(test)
            else:
                listed[entry] += 1
        lines = [f"skip allowed: {one.tests} ({count}): {one.why}" for one, count in listed.items()]
        lines += [f"skip not in {ALLOWED.name}: {_some(tests)}: {reason}" for reason, tests in others.items()]
        if whole:
            idle = [one for one in self._allowed if one not in listed and one.expected]
            lines += [f"{ALLOWED.name} allows what is not skipped any more: {one.tests}" for one in idle]
        unlisted = sum(map(len, others.values()))
        return [*lines, f"skips: {len(self._skipped)}, {unlisted} of them not in {ALLOWED.name}"]


def _some(tests: list[str]) -> str:
    """The first of the names, and how many there are more."""
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    return f"{', '.join(tests[:3])}{more}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What a skipped test says."""
    said = report.longrepr
    return str(said[2]).removeprefix("Skipped: ") if isinstance(said, tuple) else str(said)


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run is one of all tests."""
    chosen = config.option.keyword or config.option.markexpr or config.getoption("lf", False)
    return config.args_source is not pytest.Config.ArgsSource.ARGS and not chosen
