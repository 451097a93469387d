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
from tests.servers.process import Server
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


_own = pytest.StashKey[dict[str, Server]]()
"""The servers of this process alone, by the name of their fixture."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A server that was stopped meanwhile runs again for those who ask for it."""
    for name, server in item.config.stash.get(_own, {}).items():
        if name in getattr(item, "fixturenames", ()):
            server.start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last one of a group, its servers stop: one that idles takes a thirtieth of a processor."""
    own = item.config.stash.get(_own, {})
    if own and not own.keys() & set(getattr(nextitem, "fixturenames", ())):
        for server in own.values():
            server.stop()


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
def own_broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(pytestconfig, "own_broker", Broker(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def own_registry(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(pytestconfig, "own_registry", Registry(tmp_path_factory.mktemp("registry")))


@pytest.fixture
def database(pytestconfig: pytest.Config) -> Database:
    """A fresh database of the PostgreSQL of the whole run."""
    server = _found(pytestconfig, "postgres")
    name = f"t_{uuid.uuid4().hex[:12]}"
    Database(server).query(f"CREATE DATABASE {name}")
    return Database(server.rpartition("/")[0] + f"/{name}")


@pytest.fixture(scope="session")
def own_postgres(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server that no other process uses. A test that kills or pauses it brings it back before it ends."""
    yield from _served(pytestconfig, "own_postgres", Postgres(tmp_path_factory.mktemp("postgres")))


def _found(config: pytest.Config, name: str) -> str:
    try:
        return config.stash[_address](name)
    except (Missing, Failed) as problem:
        _give_up(problem)


def _served(config: pytest.Config, name: str, server: S) -> Iterator[S]:
    """The server while the session lasts, or as long as tests ask for it."""
    try:
        server.start()
    except Missing as missing:
        _give_up(missing)
    config.stash.setdefault(_own, {})[name] = server
    yield server
    server.stop()


def _give_up(problem: Exception) -> NoReturn:
    """A missing prerequisite fails the test and is named."""
    hint = "" if "PostgreSQL" in str(problem) else f"\nSet {SKIP_KAFKA}=1 to go without the Kafka tests."
    pytest.fail(f"{problem}{hint}", pytrace=False)
