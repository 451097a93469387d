"""Shells complete: the script that k2conn gives each of them is sourced there, and asked as a pressed key asks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from k2conn.cli import completion
from k2conn.cli.commands.registry import command_names
from k2conn.resources import connectors_folder
from k2conn.sinks import SINKS
from tests.integration.test_run import environment

BIN = Path(sys.executable).parent
BASH = """
eval "$(k2conn --show-completion)"
complete -p k2conn
COMP_WORDS=({words})
COMP_CWORD={at}
_k2conn_completion k2conn
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -Uz compinit && compinit -u
eval "$(k2conn --show-completion)"
print -r -- ${{_comps[k2conn]}}
_arguments() {{ print -r -- "$@"; }}
words=({words})
CURRENT=${{#words}}
_k2conn_completion
"""
FISH = """
k2conn --show-completion | source
complete -C '{line}'
"""
BARE = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}
"""Without the user's own settings."""

ASKED = {
    "k2conn va": {"validate"},
    "k2conn run krak": {path.stem for path in connectors_folder().glob("krak*.yaml")},
    "k2conn run kraken --sink ": {*SINKS.names()},
    "k2conn lake --table tra": {"trades"},
    "k2conn env --command rep": {"replay"},
    "k2conn validate mine": {"mine.yaml"},
    "k2conn run --wor": {"--workers"},
}


def offered(shell: str, script: str, folder: Path) -> list[str]:
    """What a shell that sources the script offers."""
    (folder / "mine.yaml").touch()
    (folder / "mine.txt").touch()
    variables = {**environment(), "PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(folder), "TERM": "dumb"}
    command = [shell, *BARE[shell], "-c", script]
    found = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert found.stderr == ""
    return found.stdout.splitlines()


@pytest.mark.parametrize("line", ASKED)
def test_bash_completes(line: str, tmp_path: Path) -> None:
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    how, *found = offered("bash", BASH.format(words=quoted, at=len(words) - 1), tmp_path)
    assert how == "complete -o default -F _k2conn_completion k2conn"
    assert {*found} == ASKED[line]


def test_a_path_is_completed_by_the_shell_itself(tmp_path: Path) -> None:
    assert offered("bash", BASH.format(words="k2conn validate connectors/k", at=2), tmp_path)[1:] == [""]


@pytest.mark.deploy
@pytest.mark.parametrize("line", ["k2conn va", "k2conn run krak", "k2conn run kraken --sink "])
def test_zsh_completes(line: str, tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    quoted = " ".join(f"'{word}'" for word in line.split(" "))
    how, *found = offered("zsh", ZSH.format(words=quoted), tmp_path)
    assert how == "_k2conn_completion"
    assert all(f'"{one}"' in "\n".join(found) for one in ASKED[line])


@pytest.mark.deploy
@pytest.mark.parametrize("line", ["k2conn va", "k2conn run krak", "k2conn run kraken --sink "])
def test_fish_completes(line: str, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    found = {one.split("\t")[0] for one in offered("fish", FISH.format(line=line), tmp_path)}
    assert found == ASKED[line]


def test_what_is_offered_is_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completion.connectors("") == sorted(path.stem for path in connectors_folder().glob("*.yaml"))
    assert completion.commands("") == sorted(command_names())
    assert {"trades", "quotes", "candles"} <= {*completion.tables("")}
    for number in range(completion.MOST + 5):
        (tmp_path / f"zz-{number}.yml").touch()
    assert len(completion.connectors("zz-")) == completion.MOST
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert completion.connectors("zz-") == []
