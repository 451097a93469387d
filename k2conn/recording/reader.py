"""Reads recordings: a file, several, or a folder of files as a recorder wrote them.

The files of one folder follow each other; several folders (those of the workers of one run) are merged by time. A file
that was cut off, as by a crash, is read up to there: `Recording.troubles` says so then, and the next file is gone on
with. What is no recording at all is a SettingsError.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from k2conn.errors import SettingsError
from k2conn.files import open_own
from k2conn.recording.blocks import START, BlockHead, Damaged, begins_block, read_head, read_lines
from k2conn.recording.entries import BadLine, EntryKind, RecordedEntry, entry
from k2conn.recording.folder import files_of


class Extent(NamedTuple):
    """What the heads of a recording say: its span in microseconds since the epoch, its lines, its bytes on disk."""

    first: int
    last: int
    lines: int
    stored: int


class RecordedStep(NamedTuple):
    """An entry (the first of a read) with the number of its recorder, and the frames of the read."""

    source: int
    entry: RecordedEntry
    frames: list[str | bytes]


class Recording:
    """What was recorded at some places."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """SettingsError where there is no recording."""
        self.sources = [files for path in paths for files in _sources(path)]
        """The files of each recorder, in their order."""
        self.troubles: list[str] = []
        """What could not be read, in words; complete when all entries were."""

    def entries(self) -> Iterator[tuple[int, RecordedEntry]]:
        """All entries as they were recorded, each with the number of the recorder it comes from."""
        if len(self.sources) == 1:
            return self._of(0)
        return heapq.merge(*(self._of(at) for at in range(len(self.sources))), key=lambda one: one[1].time)

    def steps(self) -> Iterator[RecordedStep]:
        """The same, but the frames that came in one read are one step."""
        before: RecordedStep | None = None
        for source, one in self.entries():
            if one.kind != EntryKind.RECEIVED:
                if before is not None:
                    yield before
                    before = None
                yield RecordedStep(source, one, [])
            elif before is not None and before.source == source and before.entry[:4] == one[:4]:
                before.frames.append(one.frame)
            else:
                if before is not None:
                    yield before
                before = RecordedStep(source, one, [one.frame])
        if before is not None:
            yield before

    def extent(self) -> Extent:
        """What the heads say; nothing is decompressed."""
        heads = [head for files in self.sources for file in files for head in _heads(file)]
        if not heads:
            return Extent(0, 0, 0, 0)
        return Extent(min(one.first for one in heads), max(one.last for one in heads),
                      sum(one.lines for one in heads), sum(one.stored for one in heads))

    def connectors(self) -> dict[str, set[str]]:
        """The names of the connectors, each with its streams as far as the recording says."""
        found: dict[str, set[str]] = {}
        for files in self.sources:
            for file in files:
                for one in _entries(file, [], blocks=1):
                    if one.place.connector:
                        streams = found.setdefault(one.place.connector, set())
                        streams.update(map(str, one.more.get("streams", ())))
        return found

    def _of(self, at: int) -> Iterator[tuple[int, RecordedEntry]]:
        for file in self.sources[at]:
            for one in _entries(file, self.troubles):
                yield at, one


def is_recording(path: Path) -> bool:
    """Whether a path leads to a recording: a file of one, or a folder with such files."""
    try:
        if path.is_dir():
            return any(_folders(path))
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return begins_block(file.read(START))
    except OSError:
        return False


def _sources(path: Path) -> list[list[Path]]:
    try:
        if path.is_dir():
            found = list(_folders(path))
            if not found:
                raise SettingsError(f"{path} holds no recording")
            return found
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    if not begins_block(start):
        raise SettingsError(f"{path} is no recording of k2conn")
    return [[path]]


def _folders(path: Path) -> Iterator[list[Path]]:
    """The files of a folder, and of the folders in it."""
    for folder in (path, *sorted(one for one in path.iterdir() if one.is_dir())):
        if files := files_of(folder):
            yield files


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(open_own(path, os.O_RDONLY), "rb")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None


def _heads(path: Path) -> Iterator[BlockHead]:
    size = path.stat().st_size
    with _opened(path) as file:
        try:
            while (found := read_head(file)) is not None:
                head, _ = found
                if file.tell() + head.stored > size:
                    return
                yield head
                file.seek(head.stored, os.SEEK_CUR)
        except Damaged:
            return


def _entries(path: Path, troubles: list[str], blocks: int = 0) -> Iterator[RecordedEntry]:
    """The entries of a file, of its first ``blocks`` blocks only where that is not 0."""
    number, after, bad = 0, "its beginning", 0
    with _opened(path) as file:
        while not blocks or number < blocks:
            at = file.tell()
            try:
                found = read_head(file)
                if found is None:
                    break
                lines = read_lines(file, *found)
            except Damaged as error:
                troubles.append(f"{path} ends in the middle (byte {at}: {error}); it was read up to {after}")
                break
            number += 1
            for raw in lines.splitlines():
                try:
                    one = entry(raw)
                except BadLine as error:
                    bad += 1
                    if bad == 1:
                        troubles.append(f"{path}: a line in block {number} is left out: {error}")
                    continue
                if one.kind == EntryKind.LOST:
                    troubles.append(f"{path}: {one.more.get('frames')} frames are missing ({one.more.get('cause')})")
                after = f"the entry of {one.time}"
                yield one
    if bad > 1:
        troubles.append(f"{path}: {bad} such lines")
