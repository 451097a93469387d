"""Commands to go on with, spelled so that they run as they are printed: from this folder, with this installation."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """How this program is called: by its name where that finds it, else by its path."""
    own = Path(sys.argv[0])
    if own.name == "__main__.py":
        return f"{python()} -m k2conn"
    found = shutil.which(own.name)
    if found is not None and Path(found).resolve() == own.resolve():
        return own.name
    return _from_here(own)


def python() -> str:
    """How the Python that has k2conn's packages is called."""
    return _from_here(Path(sys.executable))


def _from_here(path: Path) -> str:
    """A path as the shell takes it, relative where it lies below the working folder."""
    whole = os.path.abspath(path)  # links stay: an environment's Python is one
    near = os.path.relpath(whole)
    return shlex.quote(whole if near.startswith(os.pardir) else near)
