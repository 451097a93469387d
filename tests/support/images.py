"""The images that this tree's Dockerfile makes, under the names that docker-compose.yml gives them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.paths import ROOT

IMAGE = "docker.io/library/k2conn"
COMPLETE = "docker.io/library/k2conn-complete"
Result = TypeVar("Result")


def copy_sources(target: Path) -> None:
    """What git knows of this tree, and nothing else that lies in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((ROOT / name).read_bytes())


def started(command: list[str]) -> None:
    """Starts a container that goes on by itself."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def exited_well(command: list[str]) -> bool:
    """Whether a command's exit code is 0."""
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def until(look: Callable[[], Result], within: float = 120) -> Result:
    """What ``look`` gives, as soon as it gives something."""
    end = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found
