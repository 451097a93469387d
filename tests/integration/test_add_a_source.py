"""docs/add-a-source.md as a reader follows it: its files are written and its commands run, in their order and in one
folder, and what the page says they print is compared with what they print (``...`` stands for anything).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.paths import ROOT
from tests.servers.process import free_port
from tests.support.recordings import environment

PAGE = (ROOT / "docs" / "add-a-source.md").read_text()
BESIDE = "a terminal of its own"
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of the page: a file, or commands with what they print."""

    kind: str
    title: str
    text: str


class Typed(NamedTuple):
    """One command, and the lines that it prints."""

    command: str
    printed: list[str]


def blocks() -> Iterator[Block]:
    for kind, title, text in _BLOCK.findall(PAGE):
        yield Block(kind, title, text)


def typed(text: str) -> list[Typed]:
    found: list[Typed] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Typed(line[2:], []))
        else:
            found[-1].printed.append(line)
    return found


def alike(printed: str, said: list[str]) -> bool:
    """Whether lines of the page are what was printed: ``...`` is anything, alone on a line any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"\n" for line in said
    )
    return re.fullmatch(pattern, printed) is not None


class Reader:
    """Types what the page says, in one shell after the other that knows what was exported."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self._folder = folder
        self._ports = ports
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        command = bin_folder / "k2conn"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m k2conn "$@"\n')
        command.chmod(0o755)
        self._environment = environment(PATH=f"{bin_folder}:{os.environ['PATH']}", COLUMNS="400", PYTHONUNBUFFERED="1")
        self.beside: list[subprocess.Popen[str]] = []

    def _own(self, text: str) -> str:
        """With ports that are free here."""
        for one, other in self._ports.items():
            text = text.replace(one, other)
        return text

    def types(self, one: Typed) -> None:
        if one.command.startswith("export "):
            for pair in one.command.removeprefix("export ").split():
                name, _, value = self._own(pair).partition("=")
                self._environment[name] = value
            return
        done = subprocess.run(
            ["bash", "-c", self._own(one.command)], cwd=self._folder, env=self._environment, text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        assert done.returncode == 0, (one.command, done.stdout)
        said = [self._own(line) for line in one.printed]
        assert alike(done.stdout, said), f"{one.command}\n-- printed:\n{done.stdout}\n-- the page:\n" + "\n".join(said)

    def types_beside(self, one: Typed) -> None:
        """A command that goes on, until it has printed what the page says."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {self._own(one.command)}"], cwd=self._folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.beside.append(process)
        assert process.stdout is not None
        for line in one.printed:
            printed = process.stdout.readline()
            assert alike(printed, [self._own(line)]), (printed, line)

    def end(self) -> None:
        for process in self.beside:
            process.send_signal(signal.SIGINT)
        for process in self.beside:
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
            assert process.returncode == 0


@pytest.mark.deploy
def test_every_step_of_the_page(tmp_path: Path) -> None:
    reader = Reader(tmp_path, {str(port): str(free_port()) for port in (9985, 9095)})
    commands = 0
    try:
        for block in blocks():
            if block.kind == "console":
                for one in typed(block.text):
                    commands += 1
                    (reader.types_beside if block.title == BESIDE else reader.types)(one)
            else:
                assert block.title, "a block that is neither a file nor commands"
                (tmp_path / block.title).write_text(block.text)
    finally:
        reader.end()
    assert commands >= 14


@pytest.mark.parametrize(
    ("printed", "said", "same"),
    [
        ("a\nb\n", ["a", "b"], True), ("a\nb\n", ["a"], False), ("a\nb\nc\n", ["a", "...", "c"], True),
        ("a\n", ["..."], True), ("x=17 y\n", ["x=... y"], True), ("x=17 z\n", ["x=... y"], False),
        ("a\nc\n", ["a", "...", "b", "..."], False),
    ],
)
def test_what_is_alike(printed: str, said: list[str], same: bool) -> None:
    """The comparison can fail."""
    assert alike(printed, said) is same
