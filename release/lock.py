"""Locks what the image is made of: `make lock`.

`requirements.lock` holds what k2conn needs while it runs in the image as it is by default, `requirements-complete.lock`
what the lake and the API need besides, in the same versions, `requirements-build.lock` what its wheel is built with;
each package with one version and the hashes of all of its files, for every system and processor. Then it is tried that
the image's own platforms can be installed from wheels alone: what is built from source would fetch its tools unlocked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = ("x86_64", "aarch64")
"""The processors that the image is made for."""
IMAGE_PYTHON = "3.12"
EXTRAS = {"requirements.lock": ("postgres",), "requirements-complete.lock": ("api", "keys", "lake", "postgres")}
"""What the image may have beside what k2conn always needs (`--build-arg EXTRAS=`), by the lock that holds it."""


def main() -> int:
    """Writes both files; raises CalledProcessError where no such set of packages exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory() as name:
        build = Path(name) / "build.in"
        build.write_text("\n".join(project["build-system"]["requires"]) + "\n")
        _lock_all()
        _compile(build, ROOT / "requirements-build.lock")
        for lock in EXTRAS:
            for platform in PLATFORMS:
                _fetch(lock, platform, Path(name) / lock / platform)
    return 0


def _lock_all() -> None:
    """The largest set first: the others are parts of it, by its versions."""
    locks = sorted(EXTRAS, key=lambda lock: len(EXTRAS[lock]), reverse=True)
    for number, lock in enumerate(locks):
        extras = [f"--extra={name}" for name in EXTRAS[lock]]
        constraints = [f"--constraint={ROOT / locks[0]}"] if number else []
        _compile(ROOT / "pyproject.toml", ROOT / lock, *extras, *constraints)


def _compile(source: Path, target: Path, *options: str) -> None:
    """One version of everything that the source asks for, with its hashes."""
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--universal", "--generate-hashes",
         "--upgrade", "--no-annotate", "--python-version", python, "--custom-compile-command", "make lock",
         "--output-file", target, *options, source], check=True,
    )


def _fetch(lock: str, platform: str, folder: Path) -> None:
    """Fetches the wheels of a lock for one processor by their hashes."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--require-hashes", "--only-binary=:all:", f"--platform=manylinux_2_28_{platform}",
         f"--platform=manylinux2014_{platform}", f"--python-version={IMAGE_PYTHON}", "--dest", folder,
         "--requirement", ROOT / lock], check=True,
    )
    print(f"{platform}: {len(list(folder.iterdir()))} wheels, each with a hash of {lock}")


if __name__ == "__main__":
    sys.exit(main())
