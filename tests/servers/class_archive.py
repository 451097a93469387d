"""What Java reads and checks of its classes when a server starts, kept beside the jars: it starts in half the time.

A run of the tests starts some thirty brokers and registries. Java maps an archive of loaded classes, which `keep` has
made (JEP 350), and ignores one that does not fit its version or its jars.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

from .downloads import cache_folder, locked
from .prerequisites import java
from .process import Server

Make = Callable[[Path, tuple[str, ...]], Server]


def shared_classes(name: str) -> tuple[str, ...]:
    """Java's options for a server, by the name of its archive; none where there is no archive."""
    path = _path(name)
    return (f"-XX:SharedArchiveFile={path}", "-Xlog:cds*=off") if path.exists() else ()


def keep(name: str, make: Make) -> None:
    """Make the archive, where there is none, by a start of the server that ``make`` makes in a folder, with options."""
    path = _path(name)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        if not path.exists():  # another process may have made it while this one waited
            with make(Path(folder) / "server", (f"-XX:ArchiveClassesAtExit={made}", "-Xlog:cds*=off")):
                pass
            if made.exists():  # a server that was slow to end was killed: then there is none, and all goes on without
                made.rename(path)


def _path(name: str) -> Path:
    return cache_folder() / "classes" / f"{name}-{_version()}.jsa"


@cache
def _version() -> str:
    said = subprocess.run([java(), "-version"], capture_output=True, check=True)
    return sha256(said.stderr).hexdigest()[:12]
