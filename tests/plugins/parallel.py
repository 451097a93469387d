"""How the tests are spread over the processes of pytest-xdist (`pytest -n auto`); without -n all this does nothing.

- Long groups start first, so that none of them is still running when everything else is done.
- Tests of one module that share a costly fixture stay in one process, and so do those that stop or pause the same kinds
  of servers.
- Those marked `deploy` share images and stores in their folder or file, each of which stays in one process.
- A test marked `alone` measures speed, and no other test runs while it does.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WORKERS_PER_CORE = 2.5
"""Most tests that take long wait for a timer, a process or a server. Each process takes some ten
seconds of processor time of its own, to collect the tests and to import what they use.
"""

GROUPS = "groups.json"
OWN_SERVERS = {"own_broker", "own_postgres", "own_registry"}
SHARED_SERVERS = {"broker", "registry"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` means."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return round(WORKERS_PER_CORE * cores)


def pytest_configure(config: pytest.Config) -> None:
    """A process of xdist takes turns with the others; the controlling one gives them the files for it."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        config.pluginmanager.register(_Worker(Path(given["tests"])))
    elif spreads(config):
        config.pluginmanager.register(_Controller())


def spreads(config: pytest.Config) -> bool:
    """Whether this process has others run the tests."""
    return not hasattr(config, "workerinput") and bool(config.getoption("tx", None))


class _Controller:
    """Makes the folder in which the processes leave word for each other, and deals out the tests."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="k2conn-tests-")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["tests"] = self._folder.name

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """One that keeps a group in one process, and the order."""
        from xdist.scheduler import LoadScopeScheduling

        groups: dict[str, str] = {}
        written = Path(self._folder.name) / GROUPS

        class Scheduling(LoadScopeScheduling):
            def _split_scope(self, nodeid: str) -> str:
                """The name of what a test must stay together with. It is asked for after all have collected."""
                if not groups:
                    groups.update(json.loads(written.read_text()))
                return groups[nodeid]

            def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
                """Forget a group that is over: at each test, all groups that a process ever had are gone through."""
                group = self._split_scope(self.registered_collections[node][item_index])
                super().mark_test_complete(node, item_index, duration)
                if all(self.assigned_work[node][group].values()):
                    del self.assigned_work[node][group]

        config.option.loadscopereorder = False
        return Scheduling(config, log)

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


def _group(item: pytest.Item) -> str:
    """The name of the tests that belong in one process with this one; its own where there are none."""
    if item.get_closest_marker("alone"):
        return "alone"
    if item.get_closest_marker("deploy"):
        return _shared_place(item)
    costly = _costly(item)
    if costly:
        return f"{item.path.stem}:{costly}"
    own = OWN_SERVERS & _fixtures(item)
    if own:
        return "+".join(sorted(own))
    return item.nodeid


def _shared_place(item: pytest.Item) -> str:
    """The folder with a conftest of its own, whose fixtures all of its files share; else the file."""
    own = item.path.with_name("conftest.py")
    return str(item.path.parent if own.exists() and own.parent != item.config.rootpath / "tests" else item.path)


def _costly(item: pytest.Item) -> str:
    """The fixtures that the tests of a module share; those with parameters only choose between ways to run a test."""
    found = item._fixtureinfo.name2fixturedefs.items()  # no public way asks for scopes
    return ",".join(sorted(name for name, last in found if last[-1].scope == "module" and not last[-1].params))


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("alone"):
        return 3
    if OWN_SERVERS & _fixtures(item):
        return 0
    return 1 if SHARED_SERVERS & _fixtures(item) or _costly(item) else 2


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


class _Worker:
    """Orders the tests of a process, and runs them side by side with those of the others, except the ones `alone`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._door = folder / "door"
        self._room = folder / "room"
        gc.disable()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the long groups first and the tests that run alone last."""
        items.sort(key=_rank)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write down the groups for the controlling process. All write the same; none reads half of it.

        The tests and what they import stay to the end: the garbage collector, which rests while they are collected,
        need not look through them again.
        """
        part = self._folder / f"{os.getpid()}"
        part.write_text(json.dumps({item.nodeid: _group(item) for item in session.items}))
        part.rename(self._folder / GROUPS)
        gc.collect()
        gc.freeze()
        gc.enable()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        alone = item.get_closest_marker("alone") is not None
        with self._turn(fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            return (yield)

    @contextmanager
    def _turn(self, way: int) -> Iterator[None]:
        """The room holds many tests or one that is alone, which waits in the door, so that no further one goes in."""
        with self._room.open("w") as room:
            with self._door.open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, way)
            yield
