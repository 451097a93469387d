"""What can be fuzzed, found by its file: `targets/NAME.py` (Python) and `c/NAME.c` (C)."""

from __future__ import annotations

import hashlib
import importlib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
IN_C = HERE / "c"
HOST, REPLAY = "python_host", "replay_main"
"""The files in `c/` that are no targets: one runs a target in Python beside the instrumented C modules, one runs a
target over files.
"""
HOSTED = {
    "mapper": ("mapper", "getters"),
    "plain_frames": ("mapper", "getters"),
    "cells": ("cells",),
    "record_batch": ("record_batch",),
    "record_bodies": ("bodies", "columns", "copy_rows", "picking"),
}
"""Targets in Python that count as C, each with the modules of `k2conn.native` that it tries."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target. ``language`` is what the code under test is written in: "c" or "python"."""

    name: str
    language: str

    @property
    def corpus(self) -> Path:
        """The inputs that reach most, small and many, as one archive."""
        return HERE / "corpus" / f"{self.name}.zip"

    @property
    def regressions(self) -> Path:
        """The folder of inputs that once failed."""
        return HERE / "regressions" / self.name

    @property
    def module(self) -> str:
        """The Python module with its seeds, and with ``target`` where that is Python."""
        return f"tests.fuzz.targets.{self.name}"

    def seeds(self) -> Iterable[bytes]:
        """Inputs to begin with that are made, not kept."""
        found: Iterable[bytes] = importlib.import_module(self.module).seeds()
        return found

    def words(self) -> tuple[bytes, ...]:
        """Pieces that mean something to the code under test."""
        found: tuple[bytes, ...] = importlib.import_module(self.module).WORDS
        return found

    def traced(self) -> tuple[str, ...]:
        """The modules and packages whose branches guide the search, where the target is Python."""
        found: tuple[str, ...] = getattr(importlib.import_module(self.module), "TRACED", ())
        return found

    def function(self) -> Callable[[bytes], None]:
        """What is called with any bytes; it raises nothing but what is a finding."""
        found: Callable[[bytes], None] = importlib.import_module(self.module).target
        return found

    def kept(self) -> list[bytes]:
        """The inputs that are kept in the repository."""
        found = [path.read_bytes() for path in sorted(self.regressions.glob("*"))]
        if self.corpus.is_file():
            with zipfile.ZipFile(self.corpus) as archive:
                found += [archive.read(name) for name in archive.namelist()]
        return found

    def keep(self, inputs: Iterable[bytes]) -> None:
        """Makes a corpus of inputs; the same ones give the same archive."""
        with zipfile.ZipFile(self.corpus, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted({file_name(data): data for data in inputs}.items()):
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)

    @property
    def largest(self) -> int:
        """Bytes of an input: enough for all that a reader can meet, little enough for many a second."""
        return 4096 if self.in_python else 512

    @property
    def in_python(self) -> bool:
        """Whether the function that is called is Python."""
        return not (IN_C / f"{self.name}.c").is_file()


def targets() -> list[Target]:
    """All targets, those in C first."""
    in_c = {path.stem for path in IN_C.glob("*.c")} - {HOST, REPLAY} | set(HOSTED)
    python = {path.stem for path in (HERE / "targets").glob("[a-z]*.py")} - in_c
    return [Target(name, "c") for name in sorted(in_c)] + [Target(name, "python") for name in sorted(python)]


def file_name(data: bytes) -> str:
    """The name of an input in a corpus, as libFuzzer names it: what is equal has one name."""
    return hashlib.sha1(data).hexdigest()


def write_inputs(folder: Path, inputs: Iterable[bytes]) -> None:
    """Adds inputs to a corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        path = folder / file_name(data)
        if not path.exists():
            path.write_bytes(data)


def dictionary(words: Iterable[bytes]) -> str:
    """The words as libFuzzer reads them."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)
