"""Reads recorded frames: recordings of k2conn, or files with one frame per line, or with one JSON object per line that
has it under a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.recording.reader import is_recording
from k2conn.tools.recorded_frames import recorded_texts
from k2conn.tools.recorded_lines import recorded_lines


def read_frames(files: Sequence[Path], key: str | None = None) -> list[str]:
    """The texts of the frames, in order. Raises SettingsError for a file that cannot be read or a line without the key.
    """
    return [frame for file in files for frame in _read(file, key)]


def _read(file: Path, key: str | None) -> Iterator[str]:
    if is_recording(file):
        yield from recorded_texts(file)
        return
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    for number, line in enumerate(recorded_lines(lines, str(file)), 1):
        if not line.strip():
            continue
        if key is None:
            yield line.decode("utf-8", "replace")
            continue
        try:
            raw = exactjson.members(line).get(key)
        except exactjson.JsonError as error:
            raise SettingsError(f"{file}:{number} is no JSON object: {error}") from None
        if raw is None:
            raise SettingsError(f"{file}:{number} has no '{key}'")
        yield str(exactjson.decode(raw)) if raw[:1] == b'"' else raw.decode("utf-8", "replace")
