"""Fixtures every test may ask for: the real broker and registry, topic names, the recorded frames."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog

from tests.paths import SHARED
from tests.servers import Broker, Missing, Registry

SKIP_KAFKA = "K2CONN_SKIP_KAFKA"

S = TypeVar("S", Broker, Registry)


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """No test sees how another one has set up the logs."""
    root, own = logging.getLogger(), logging.getLogger("k2conn")
    before = root.handlers[:], root.level, own.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    root.handlers = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's Kafka broker. A test that kills or pauses it brings it back before it ends."""
    yield from _served(Broker(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The session's schema registry. Tests keep apart by subject, that is by topic name."""
    yield from _served(Registry(tmp_path_factory.mktemp("registry")))


@pytest.fixture
def kafka_topic(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes topic names nobody else uses: `kafka_topic("trades")`."""
    test = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name).strip("-")[:80]
    prefix = f"{test}-{uuid.uuid4().hex[:8]}"
    return lambda name: f"{prefix}.{name}"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recorded exchange frames beside the project."""
    folder = Path(os.environ.get("K2CONN_CORPUS") or SHARED / "corpus")
    if not folder.is_dir():
        pytest.skip(f"no recorded frames at {folder}; K2CONN_CORPUS may name another folder")
    return folder


def _served(server: S) -> Iterator[S]:
    """The server while the session lasts. A missing prerequisite fails the test and is named."""
    try:
        server.start()
    except Missing as missing:
        pytest.fail(f"{missing}\nSet {SKIP_KAFKA}=1 to go without the Kafka tests.", pytrace=False)
    yield server
    server.stop()


def pytest_configure(config: pytest.Config) -> None:
    """Keep count of the Kafka tests."""
    config.pluginmanager.register(KafkaTests())


class KafkaTests:
    """Marks, skips and counts the tests that need the servers. `.ci/run` reads the line it prints."""

    def __init__(self) -> None:
        self.marked: set[str] = set()
        self.run: set[str] = set()
        self.skipped: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark whoever asks for a server, so that none escapes; skip where the environment says so."""
        for item in items:
            if {"broker", "registry"} & set(getattr(item, "fixturenames", ())):
                item.add_marker("kafka")
            if item.get_closest_marker("kafka"):
                self.marked.add(item.nodeid)
                if os.environ.get(SKIP_KAFKA) == "1":
                    item.add_marker(pytest.mark.skip(reason=f"{SKIP_KAFKA}=1"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, by its mark or by itself, did not run."""
        if report.nodeid in self.marked:
            if report.skipped:
                self.skipped.add(report.nodeid)
            elif report.when == "call":
                self.run.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The line."""
        terminalreporter.write_line(f"kafka tests: {len(self.run)} run, {len(self.skipped)} skipped")
