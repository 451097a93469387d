"""Dead letters of files: what the file sink wrote into its folders, or any JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from k2conn.errors import SettingsError

LONGEST = 1024 * 1024
"""Bytes of a line that are read: no letter is longer."""


def raw_letters(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """The documents with their places; of a folder those in all files of dead letters in it. SettingsError for what
    cannot be read.
    """
    for path in paths:
        try:
            files = sorted(path.glob("**/*.dlq/*.jsonl")) if path.is_dir() else [path]
            if path.is_dir() and not files:
                files = sorted(path.glob("*.jsonl"))
            for file in files:
                yield from _lines(file)
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None


def _lines(file: Path) -> Iterator[tuple[str, bytes]]:
    with file.open("rb") as lines:
        number = 0
        while raw := lines.readline(LONGEST):
            number += 1
            if raw.strip():
                yield f"{file}:{number}", raw.strip()
