"""Wheels for every common system and CPython are made on this machine, and run where something here can run them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import SOURCES
from release import platform_wheels
from release.platform_wheels import PLATFORMS
from release.pythons import VERSIONS, unpacked
from tests.deploy.test_wheels import shows_a_demo

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="tries Linux's x86-64 wheels"),
]

NEWEST = VERSIONS[-1]
HERE = "manylinux_2_17_x86_64"
PROCESSORS = {"x86_64": 62, "aarch64": 183, "arm64": 0x0100000C}
"""In the header of an ELF file, and (arm64, and x86-64 as 0x01000007) of a Mach-O one."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels: for all platforms with the newest Python, and for this one with each."""
    folder = tmp_path_factory.mktemp("dist")
    platform_wheels.main(folder, (NEWEST,))
    platform_wheels.main(folder, VERSIONS[:-1], tuple(one for one in PLATFORMS if one.tag == HERE))
    return folder


def wheel(folder: Path, version: str, tag: str) -> Path:
    (found,) = folder.glob(f"*-cp{version.replace('.', '')}-*-{tag}.whl")
    return found


@pytest.mark.parametrize("tag", [one.tag for one in PLATFORMS])
def test_each_file_is_for_the_processor_that_the_tag_says(made: Path, tag: str) -> None:
    with zipfile.ZipFile(wheel(made, NEWEST, tag)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        heads = [archive.read(name)[:20] for name in names]
        (about,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/WHEEL")]
    assert len(names) == len(SOURCES)
    number = NEWEST.replace(".", "")
    assert f"Tag: cp{number}-cp{number}-{tag}\n" in about
    assert "Root-Is-Purelib: false" in about
    processor = re.sub(r".*_(x86_64|aarch64|arm64)$", r"\1", tag)
    for head in heads:
        if tag.startswith("macosx"):
            wanted = 0x01000007 if processor == "x86_64" else PROCESSORS[processor]
            assert struct.unpack_from("<II", head) == (0xFEEDFACF, wanted)
        else:
            assert (head[:4], struct.unpack_from("<H", head, 18)[0]) == (b"\x7fELF", PROCESSORS[processor])


@pytest.mark.parametrize("version", VERSIONS)
def test_old_systems_have_all_that_a_wheel_needs(made: Path, version: str) -> None:
    done = subprocess.run([sys.executable, "-m", "auditwheel", "show", wheel(made, version, HERE)], capture_output=True,
                          text=True, check=True)
    tags = re.findall(r"manylinux_2_(\d+)_x86_64", done.stdout)
    assert min(map(int, tags)) <= 17, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wheel_runs_in_its_python(made: Path, version: str, tmp_path: Path) -> None:
    """Installed as anybody would, the demo's records come through the part in C."""
    home = {name: text for name, text in os.environ.items() if re.match(r"(PATH|PIP_|SSL_|HTTPS?_)", name)}
    home |= {"HOME": str(tmp_path), "LANG": "C.UTF-8"}
    python = Path(sys.executable)
    if version != f"{sys.version_info.major}.{sys.version_info.minor}":
        folder = unpacked(version, "linux-x86_64")
        python = folder / "bin" / f"python{version}"
        home["LD_LIBRARY_PATH"] = str(folder)

    def ran(*words: str | Path) -> str:
        done = subprocess.run([*words], env=home, cwd=tmp_path, capture_output=True, text=True, timeout=400,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    ran(python, "-m", "venv", "--copies", "venv")
    programs = tmp_path / "venv" / "bin"
    ran(programs / "python", "-m", "pip", "install", "--quiet", wheel(made, version, HERE))
    assert ran(programs / "python", "-c", "from k2conn import native; print(native.Program.__name__)") == "Program\n"
    shows_a_demo(ran(programs / "k2conn", "demo", "--duration", "3s", "--plain"))


PROGRAM = """
import platform
from k2conn import native
from k2conn.native import record_batch
print(platform.machine(), native.Program.__name__, hex(record_batch.crc32c(b"123456789")))
"""


def test_a_wheel_for_arm_loads_on_arm(made: Path, tmp_path: Path) -> None:
    """By emulation; only what needs no other library. CRC-32C of these digits is its published check value."""
    if not (qemu := shutil.which("qemu-aarch64")):
        pytest.skip("qemu-aarch64 is missing (apt-get install qemu-user libc6-arm64-cross)")
    with zipfile.ZipFile(wheel(made, NEWEST, "manylinux_2_17_aarch64")) as archive:
        archive.extractall(tmp_path)
    python = unpacked(NEWEST, "linux-arm64")
    given = ["-E", f"LD_LIBRARY_PATH={python}", "-E", f"PYTHONPATH={tmp_path}"]
    words = [qemu, "-L", "/usr/aarch64-linux-gnu", *given, python / "bin" / f"python{NEWEST}", "-c", PROGRAM]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout.split() == ["aarch64", "Program", "0xe3069283"], done.stderr
