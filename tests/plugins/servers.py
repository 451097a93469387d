"""The broker and the registry that tests ask for by fixture.

`broker` and `registry` are shared by all tests of a run, in whatever process: started when the first test asks, stopped
once at the end. A test that stops, kills or pauses a server asks for `own_broker` or `own_registry`, which belong to
its process alone.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from tests.plugins.parallel import spreads
from tests.servers import Broker, Failed, Missing, Postgres, Registry, SharedBroker, SharedRegistry
from tests.servers.postgres import Database
from tests.servers.shared import Host, ask

SKIP_KAFKA = "K2CONN_SKIP_KAFKA"

S = TypeVar("S", Broker, Postgres, Registry)

_address = pytest.StashKey[Callable[[str], str]]()


def pytest_configure(config: pytest.Config) -> None:
    """The process that controls the run is the host of the servers; the others ask it."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[_address] = lambda name: ask(given["servers"], name)
        return
    folder = tempfile.TemporaryDirectory(prefix="k2conn-servers-")
    host = Host(Path(folder.name))
    config.stash[_address] = host.address
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(host.close)  # before the folder goes: the last one in is the first one out
    if spreads(config):
        config.pluginmanager.register(_Controller(host))


class _Controller:
    """Tells the processes of xdist where the host is."""

    def __init__(self, host: Host) -> None:
        self._where = host.listen()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["servers"] = self._where


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> SharedBroker:
    """The Kafka broker of the whole run. Tests keep apart by topic."""
    return SharedBroker(_found(pytestconfig, "broker"))


@pytest.fixture(scope="session")
def registry(pytestconfig: pytest.Config) -> SharedRegistry:
    """The schema registry of the whole run. Tests keep apart by subject, that is by topic name."""
    return SharedRegistry(_found(pytestconfig, "registry"))


@pytest.fixture(scope="session")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(Broker(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(Registry(tmp_path_factory.mktemp("registry")))


@pytest.fixture
def database(pytestconfig: pytest.Config) -> Database:
    """A fresh database of the PostgreSQL of the whole run."""
    server = _found(pytestconfig, "postgres")
    name = f"t_{uuid.uuid4().hex[:12]}"
    Database(server).query(f"CREATE DATABASE {name}")
    return Database(server.rpartition("/")[0] + f"/{name}")


@pytest.fixture(scope="session")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(Postgres(tmp_path_factory.mktemp("postgres")))


def _found(config: pytest.Config, name: str) -> str:
    try:
        return config.stash[_address](name)
    except (Missing, Failed) as problem:
        _give_up(problem)


def _served(server: S) -> Iterator[S]:
    """The server while the session lasts."""
    try:
        server.start()
    except Missing as missing:
        _give_up(missing)
    yield server
    server.stop()


def _give_up(problem: Exception) -> NoReturn:
    """A missing prerequisite fails the test and is named."""
    hint = "" if "PostgreSQL" in str(problem) else f"\nSet {SKIP_KAFKA}=1 to go without the Kafka tests."
    pytest.fail(f"{problem}{hint}", pytrace=False)
