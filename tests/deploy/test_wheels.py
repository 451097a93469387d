"""What is built to be given away is installed as strangers install it, without a compiler, and runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release import wheels
from tests.paths import ROOT

pytestmark = pytest.mark.deploy

NATIVE = "from k2conn import native; print(native.Mapper is not None and native.cut is not None, native.__file__)"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist and a wheel."""
    sdist, wheel = wheels.main(tmp_path_factory.mktemp("dist"))
    return sdist, wheel


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine without a compiler, with a home of its own."""
    folder = tmp_path_factory.mktemp("machine")
    for name in ("python3", "sh", "env", "uname", "git", "realpath", "dirname", "basename"):
        if found := shutil.which(name):
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / name).symlink_to(found)
    kept = {name: text for name, text in os.environ.items() if re.match(r"(PIP|UV|SSL|HTTPS?|NO|ALL)_", name.upper())}
    return {**kept, "PATH": str(folder / "bin"), "HOME": str(folder), "CC": "false", "LANG": "C.UTF-8"}


def ran(machine: dict[str, str], *words: object, folder: Path) -> str:
    """What a command prints; it must end well, and say nothing of a bug."""
    done = subprocess.run([*map(str, words)], env=machine, cwd=folder, capture_output=True, text=True, timeout=400,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fresh(machine: dict[str, str], folder: Path, what: Path) -> Path:
    """The programs of a new environment into which something was installed."""
    ran(machine, sys.executable, "-m", "venv", folder / "venv", folder=folder)
    ran(machine, folder / "venv" / "bin" / "pip", "install", "--quiet", what, folder=folder)
    return folder / "venv" / "bin"


def shows_a_demo(text: str) -> None:
    books = re.findall(r"^  (\w+): sent (\d+); received (\d+) = published (\d+) .* lost 0$", text, re.MULTILINE)
    assert len(books) == 3
    assert all(int(sent) == int(received) == int(published) > 0 for _, sent, received, published in books)


def test_a_wheel_runs_without_a_compiler_with_its_part_in_c(
    built: tuple[Path, Path], machine: dict[str, str], tmp_path: Path
) -> None:
    programs = fresh(machine, tmp_path, built[1])
    assert ran(machine, programs / "k2conn", "--version", folder=tmp_path).startswith("k2conn ")
    loaded, where = ran(machine, programs / "python", "-c", NATIVE, folder=tmp_path).split()
    assert loaded == "True"
    assert Path(where).is_relative_to(tmp_path)
    shows_a_demo(ran(machine, programs / "k2conn", "demo", "--duration", "3s", "--plain", folder=tmp_path))


def test_a_wheel_says_where_it_runs(built: tuple[Path, Path]) -> None:
    if sys.platform == "linux":
        assert re.search(r"-cp3\d+-cp3\d+-manylinux\w*_x86_64[\w.]*\.whl$|-manylinux\w*_aarch64", built[1].name)
    names = zipfile.ZipFile(built[1]).namelist()
    assert sum(name.endswith(".so") for name in names) == len([*(ROOT / "k2conn" / "native").glob("*.c")])


def test_an_sdist_is_built_where_it_is_installed(
    built: tuple[Path, Path], machine: dict[str, str], tmp_path: Path
) -> None:
    """Without a compiler here, so that it is Python alone."""
    with tarfile.open(built[0]) as archive:
        assert not [one for one in archive.getnames() if "/tests/" in one or one.endswith((".so", ".o"))]
    programs = fresh(machine, tmp_path, built[0])
    assert ran(machine, programs / "python", "-c", NATIVE, folder=tmp_path).startswith("False ")
    shows_a_demo(ran(machine, programs / "k2conn", "demo", "--duration", "3s", "--plain", folder=tmp_path))


def test_pipx_installs_the_wheel(built: tuple[Path, Path], machine: dict[str, str], tmp_path: Path) -> None:
    home = {**machine, "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
            "PIPX_DEFAULT_PYTHON": sys.executable}
    ran(home, sys.executable, "-m", "pipx", "install", built[1], folder=tmp_path)
    assert "kraken" in ran(home, tmp_path / "bin" / "k2conn", "list", folder=tmp_path)


def test_uvx_runs_the_wheel(built: tuple[Path, Path], machine: dict[str, str], tmp_path: Path) -> None:
    """`uvx --from WHEEL k2conn` is `uv tool run`."""
    words = [BIN / "uvx", "--python", sys.executable, "--from", built[1], "k2conn"]
    home = {**machine, "UV_CACHE_DIR": str(tmp_path / "cache")}
    shows_a_demo(ran(home, *words, "demo", "--duration", "3s", "--plain", folder=tmp_path))
