"""What code a target tries: its count holds as long as none of these files changes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.fuzz.engines.building import MODULES, NATIVE
from tests.fuzz.target import HOST, IN_C, Target
from tests.paths import ROOT

_INCLUDED = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
_OURS = (ROOT / "k2conn", ROOT / "tests")
_LOADED = """
import importlib, itertools, json, sys
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
if hasattr(module, "target"):
    for data in (b"", *itertools.islice(module.seeds(), 8)):
        module.target(data)
print(json.dumps([found for one in list(sys.modules.values()) if (found := getattr(one, "__file__", None))]))
"""


class NotRun(Exception):
    """A target failed with one of its own seeds, so what it loads is not known."""


def digest(target: Target) -> str:
    """Twelve hexadecimal digits that change with any of the target's sources. Raises NotRun."""
    found = hashlib.sha256()
    for path in sources(target):
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def sources(target: Target) -> list[Path]:
    """The target's own file and all files of this tree behind it: for C what is included, for Python the modules that
    are loaded when it has run with its first seeds, and the C behind those that are built of it.
    """
    if not target.in_python:
        return sorted(included([IN_C / f"{target.name}.c"]))
    in_c = [IN_C / f"{HOST}.c", *(NATIVE / name for name in MODULES)] if target.language == "c" else []
    files = loaded(target)
    built = [path.parent / f"{path.name.split('.')[0]}.c" for path in files if path.suffix == ".so"]
    python = {path for path in files if path.suffix == ".py"}
    return sorted(python | included([*in_c, *built]))


def included(files: Iterable[Path]) -> set[Path]:
    """C files with all they include, and so on."""
    found: set[Path] = set()
    left = [path.resolve() for path in files]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            names = _INCLUDED.findall(path.read_text())
            left += [other for name in names if (other := (path.parent / name).resolve()).is_file()]
    return found


@cache  # while the files are the same, so are the modules they load; and when they are not, so is the digest
def loaded(target: Target) -> list[Path]:
    """Files of this tree's modules that a process has loaded that ran the target, in a process of its own."""
    command = [sys.executable, "-c", _LOADED, str(ROOT), target.module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(done.stderr)
    paths = (Path(name).resolve() for name in json.loads(done.stdout.splitlines()[-1]))
    return [path for path in paths if any(path.is_relative_to(folder) for folder in _OURS)]
