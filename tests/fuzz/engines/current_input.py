"""The input that another process is at, and how many it has begun: in a file that both have in memory, so that it
survives whatever ends that process.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from types import TracebackType

_HEAD = struct.Struct("<QI")
_ROOM = 1 << 16


class CurrentInput:
    """Written by one process, read by another; of an input, the first 64 KiB less twelve bytes."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(_ROOM)
            self._memory = mmap.mmap(file.fileno(), _ROOM)

    def __enter__(self) -> CurrentInput:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._memory.close()

    def write(self, count: int, data: bytes) -> None:
        """The input that is begun."""
        _HEAD.pack_into(self._memory, 0, count, len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    def read(self) -> tuple[int, bytes]:
        """How many were begun, and the last of them."""
        count, size = _HEAD.unpack_from(self._memory)
        return count, self._memory[_HEAD.size : _HEAD.size + size]
