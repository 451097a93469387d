"""The connectors that ship, each compiled once in a process: a plan is frozen, and tests only read it. A test of how
connectors are loaded or compiled does both itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from k2conn.avro import DecimalSize, decimals_used
from k2conn.cli import loading
from k2conn.plan import Plan
from k2conn.resources import connectors_folder


def load(name: str) -> Plan:
    """The plan of a connector that ships; prints all problems and exits where it is wrong, as commands do."""
    path = loading.find(name)
    assert path.parent == connectors_folder(), f"{path} does not ship: it may change"
    return _compiled(path, decimals_used())


def plans() -> Iterator[Plan]:
    """All of them; a broken one is another test's business."""
    for path in loading.shipped():
        with suppress(SystemExit):
            yield _compiled(path, decimals_used())


@cache
def _compiled(path: Path, _: DecimalSize) -> Plan:
    """By the size of decimals, too: what is compiled hangs on it."""
    return loading.load(str(path))
