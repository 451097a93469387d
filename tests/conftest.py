"""Fixtures every test may ask for: topic names, the recorded frames; the servers are in `tests.plugins.servers`."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis.internal.conjecture.optimiser
import pytest
import structlog
from hypothesis import HealthCheck, settings

from k2conn.compat.jsonschema import without_slow_parsers
from k2conn.secret_mask import SECRETS, SecretMask
from tests.paths import SHARED

# Hypothesis imports this in the middle of a test, and pytest compiles it there. Where the garbage collector runs just
# then, CPython 3.11 fails ("AST constructor recursion depth mismatch"); so it is imported beforehand.
assert hypothesis.internal.conjecture.optimiser

# Some tests import jsonschema by themselves; after this it is there already, without what takes two seconds.
with without_slow_parsers():
    import jsonschema
assert jsonschema

pytest_plugins = ["tests.plugins.parallel", "tests.plugins.servers", "tests.plugins.account"]

# How long one example takes says more about the neighbours than about the code; what must be quick has a test for it.
# Each run has other examples, and few: `make fuzz` has as many as there is time for.
settings.register_profile("side by side", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("side by side")


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


@pytest.fixture(autouse=True)
def _secrets_of_its_own() -> Iterator[None]:
    """No test's secrets are hidden in what another one reads."""
    yield
    vars(SECRETS).update(vars(SecretMask()))


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
