"""Record types that do not ship with k2conn: their schemas and profiles, and a connector of all three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k2conn import resources
from k2conn.compiler.compiler import load_plan
from k2conn.plan import Plan
from k2conn.records import add_records

DATA = Path(__file__).parent / "data"
SCHEMAS = DATA / "schemas"
CONNECTOR = DATA / "records" / "example.yaml"


def known_here(*folders: Path) -> Callable[..., Any]:
    """A fixture for a whole file: the record types of these folders are known while its tests run."""

    @pytest.fixture(scope="module", autouse=True)
    def own_records() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resources, "_ADDED", {})
            for folder in folders:
                add_records(folder)
            yield

    return own_records


def example() -> Plan:
    """The connector's plan."""
    return load_plan(CONNECTOR)
