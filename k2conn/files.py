"""Files replaced as a whole, durably: whoever reads, after a power cut too, sees the old one or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file as a whole, durably, and makes its folder where need be. OSError where that fails."""
    beside = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    with contextlib.suppress(OSError):  # not every system can
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes new names and renames in a folder durable. OSError where the system cannot."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
