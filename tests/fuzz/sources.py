"""What code a target tries: its count holds as long as none of these files changes."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from tests.fuzz.engines.building import NATIVE
from tests.fuzz.target import HOST, HOSTED, IN_C, Target
from tests.paths import ROOT

_INCLUDED = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
_OURS = (ROOT / "k2conn", ROOT / "tests")
_CHILD = "from tests.fuzz.sources import print_run; import sys; print_run(*sys.argv[1:])"


class NotRun(Exception):
    """A target failed with one of its own seeds, so what it loads is not known."""


def digest(target: Target) -> str:
    """Twelve hexadecimal digits that change with any of the target's sources. Raises NotRun."""
    found = hashlib.sha256()
    for path in sources(target):
        found.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def sources(target: Target) -> list[Path]:
    """The target's own file and the files of this tree behind it. For C: what is included. For Python: the modules
    whose functions run when the target runs with its seeds and kept inputs, those that these import, and the C behind
    those that are built of it.
    """
    if not target.in_python:
        return sorted(included([IN_C / f"{target.name}.c"]))
    hosted = HOSTED[target.name] if target.language == "c" else ()
    in_c = [IN_C / f"{HOST}.c", *(NATIVE / f"{name}.c" for name in hosted)] if hosted else []
    files = run_by(target)
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


@cache  # while the files are the same, so are the modules they need; and when they are not, so is the digest
def run_by(target: Target) -> list[Path]:
    """The files of modules that a target runs, or that these import; found in a process of its own."""
    command = [sys.executable, "-c", _CHILD, target.name, target.language]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(done.stderr)
    return [Path(name) for name in json.loads(done.stdout.splitlines()[-1])]


def print_run(name: str, language: str) -> None:
    """The child process: the files as JSON."""
    target = Target(name, language)
    module, function = importlib.import_module(target.module), target.function()
    inputs = [b"", *target.seeds(), *target.kept()]
    function(b"")  # what is made once is no part of an input's way
    run: set[str] = {str(module.__file__)}
    sys.setprofile(lambda frame, event, _: run.add(frame.f_code.co_filename) if event == "call" else None)
    for data in inputs:
        function(data)
    sys.setprofile(None)
    known = {file: one for one in list(sys.modules.values()) if (file := _file(one))}
    found = run & known.keys()
    found |= {file for one in found for file in _imported(known[one])}
    print(json.dumps(sorted(found)))


def _file(module: ModuleType) -> str | None:
    """A module's file, where it is one of this tree."""
    file = getattr(module, "__file__", None)
    return file if file and any(Path(file).is_relative_to(folder) for folder in _OURS) else None


def _imported(module: ModuleType) -> Iterable[str]:
    """Where a module's names come from: what its text imports, and where what it uses was written."""
    others: list[ModuleType] = []
    for name, alias in _said(module):
        others += _origins(name, alias)
    for value in vars(module).values():
        other = value if isinstance(value, ModuleType) else sys.modules.get(str(getattr(value, "__module__", "")))
        others += [other] if other is not None else []
    return filter(None, map(_file, others))


def _origins(name: str, alias: str) -> list[ModuleType]:
    """The modules behind `from name import alias`: a package hands on what its modules have, one that is imported as a
    whole all that it has.
    """
    inner, outer = sys.modules.get(f"{name}.{alias}"), sys.modules.get(name)
    if outer is None or not _file(outer):
        return []
    if inner is not None:
        return [outer, inner, *(one for said in _said(inner) if _is_package(inner) for one in _origins(*said))]
    handed = [said for said in _said(outer) if said[1] == alias and _is_package(outer)]
    return [outer, *(one for said in handed for one in _origins(*said))]


def _said(module: ModuleType) -> list[tuple[str, str]]:
    """Each `from name import alias` of a module's text."""
    path = Path(str(module.__file__))
    nodes = ast.walk(ast.parse(path.read_text())) if path.suffix == ".py" else ()
    found = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return [(str(node.module), alias.name) for node in found for alias in node.names]


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")
