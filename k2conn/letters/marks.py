"""Which frames have been mended and published, so that nobody publishes them again: a line each in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from k2conn import exactjson
from k2conn.clock import wall_us
from k2conn.errors import SettingsError
from k2conn.files import make_folder, open_own
from k2conn.letters.letter import DeadFrame


class Marks:
    """Those of one destination. SettingsError where the file cannot be read or written."""

    def __init__(self, folder: Path, destination: str) -> None:
        self.path = folder / f"dlq-{sha256(destination.encode()).hexdigest()[:16]}.jsonl"
        self._done: set[tuple[str, str]] = set()
        try:
            if folder.exists():
                self._read()
        except OSError as error:
            raise SettingsError(f"{self.path}: {error.strerror or error}") from None

    def _read(self) -> None:
        if not os.path.lexists(self.path):
            return
        with os.fdopen(open_own(self.path, os.O_RDONLY), "rb") as file:
            for raw in file:
                try:
                    said = exactjson.decode(raw)
                    self._done.add((said["connector"], said["frame_id"]))
                except (exactjson.JsonError, KeyError, TypeError):
                    continue  # the last line, where a crash cut it: that frame is published again, with the same ids

    def has(self, frame: DeadFrame) -> bool:
        """Whether a frame was published before."""
        return (frame.connector, frame.frame_id) in self._done

    def add(self, frames: Iterable[DeadFrame]) -> None:
        """Frames whose records are durable."""
        now = wall_us()
        lines = b"".join(
            exactjson.encode({"connector": one.connector, "frame_id": one.frame_id, "at": now}) + b"\n"
            for one in frames
        )
        try:
            make_folder(self.path.parent, link=True)
            with os.fdopen(open_own(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SettingsError(f"{self.path}: {error.strerror or error}") from None
        self._done.update((one.connector, one.frame_id) for one in frames)
