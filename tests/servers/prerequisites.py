"""The programs the servers need on this machine, each named with the way to install it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

JAVA_AT_LEAST = 17


class Missing(RuntimeError):
    """A prerequisite that is not there; the text says what it is and how to get it."""


@cache
def java() -> str:
    """The path of a Java of at least version 17: JAVA_HOME's, else the one on PATH."""
    path = _program("java", home="JAVA_HOME")
    how = (
        f"Java {JAVA_AT_LEAST} or newer runs the Kafka broker and the schema registry. Install it with "
        "`apt-get install openjdk-17-jdk-headless`, `dnf install java-17-openjdk-headless` or "
        "`brew install openjdk@17`, or set JAVA_HOME"
    )
    if path is None:
        raise Missing(f"java is missing. {how}.")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', said.stderr)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        first = next(iter(said.stderr.splitlines()), "nothing")
        raise Missing(f"{path} is too old or not a Java: `java -version` says {first!r}. {how}.")
    return path


@cache
def mvn() -> str:
    """The path of Maven, which downloads the two servers once."""
    path = _program("mvn", home="MAVEN_HOME")
    if path is None:
        raise Missing(
            "mvn (Apache Maven) is missing. It downloads the Kafka broker and the schema registry once. "
            "Install it with `apt-get install maven`, `dnf install maven` or `brew install maven`."
        )
    return path


@cache
def postgres() -> Path:
    """The folder of the newest PostgreSQL server's programs: K2CONN_POSTGRES names one; else Debian's, else PATH's."""
    named = os.environ.get("K2CONN_POSTGRES")
    folders = [Path(named)] if named else sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True
    )
    if not named and (found := shutil.which("initdb")):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise Missing(
        "PostgreSQL is missing: tests write to a real server, which they start themselves. Install it with "
        "`apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`, or set "
        "K2CONN_POSTGRES to the folder of initdb and postgres."
    )


@cache
def chromium() -> str:
    """The path of Chromium, in which the console is tried: K2CONN_CHROMIUM names one; else PATH's."""
    named = os.environ.get("K2CONN_CHROMIUM")
    found = named if named and os.access(named, os.X_OK) else shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise Missing(
            "Chromium is missing: the console is tried in it. Install it with `apt-get install chromium`, "
            "`dnf install chromium` or `brew install chromium`, or set K2CONN_CHROMIUM."
        )
    return found


@cache
def npm() -> str:
    """The path of npm, which downloads the judge of accessibility, and the language server of YAML, once."""
    found = shutil.which("npm")
    if found is None:
        raise Missing("npm is missing: it downloads judges of pages and files. Install it with `apt-get install npm`.")
    return found


def _program(name: str, home: str) -> str | None:
    """The program below the folder the variable `home` names, else the one on PATH."""
    if folder := os.environ.get(home):
        candidate = Path(folder) / "bin" / name
        if os.access(candidate, os.X_OK):
            return str(candidate)
    return shutil.which(name)
