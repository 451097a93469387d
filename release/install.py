"""Installs k2conn, editable, with some of its extras, into the environment of this Python: what `make` does first.

uv does in seconds what takes pip a minute of one core. It does not read pip's settings, so it is asked only where those
say nothing but what can be passed on to it; where they do, or where it fails, pip installs, and says what is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = (sys.executable, "-m", "pip")
QUIET = ("install", "--quiet", "--disable-pip-version-check")
NEEDLESS = {"default-timeout", "timeout", "retries", "disable-pip-version-check", "no-input", "progress-bar", "quiet",
            "root-user-action", "no-cache-dir", "break-system-packages", "require-virtualenv", "no-compile"}
"""Settings of pip that change nothing of what is installed."""


def main(*extras: str) -> int:
    wanted = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    said = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    passed = for_uv(said.stdout) if said.returncode == 0 else None
    if passed is not None and subprocess.run([*PIP, *QUIET, "uv"], capture_output=True, check=False).returncode == 0:
        words, variables = passed
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable, *words]
        done = subprocess.run([*uv, "--editable", wanted], env={**os.environ, **variables}, stderr=subprocess.DEVNULL,
                              check=False)
        if done.returncode == 0:
            return 0
    return subprocess.run([*PIP, *QUIET, "--editable", wanted], check=False).returncode


def for_uv(listed: str) -> tuple[list[str], Mapping[str, str]] | None:
    """Words and variables for uv that say what pip is told by files and variables, of which ``listed`` has one a line
    (`pip config list`); None where one of them cannot be passed on, such as an index of a company's own.
    """
    words: list[str] = []
    variables: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        word, value = name.rpartition(".")[2], value.strip("'\"")
        if word == "find-links":
            words += [part for place in value.split() for part in ("--find-links", place)]
        elif word == "cert":
            variables["SSL_CERT_FILE"] = value
        elif word not in NEEDLESS:
            return None
    return words, variables


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
