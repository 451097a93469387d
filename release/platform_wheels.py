"""Wheels with the part in C for every common system and CPython, made on this one machine: `make wheels-all`.

`zig cc`, which is clang with the headers and stubs of every system's C library, compiles for all of them; the headers
of each CPython come from `pythons`. The Python in a wheel is the same everywhere: one pure wheel is built, and for each
platform the compiled files are put into it, and its tag says what it is for.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hatch_build import NATIVE, SOURCES
from release import wheels
from release.pythons import VERSIONS, headers


class Platform(NamedTuple):
    """A system and processor that wheels are made for."""

    tag: str
    """As `pip` names it."""
    target: str
    """As zig names it, with the oldest version of the system's library."""
    suffix: str
    """After ``cpython-313``, in the names of extension modules."""

    @property
    def system(self) -> str:
        """Whose headers are needed."""
        return "macosx" if "macos" in self.target else "linux"


PLATFORMS = (
    Platform("manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17", "-x86_64-linux-gnu.so"),
    Platform("manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17", "-aarch64-linux-gnu.so"),
    Platform("musllinux_1_2_x86_64", "x86_64-linux-musl", "-x86_64-linux-musl.so"),
    Platform("musllinux_1_2_aarch64", "aarch64-linux-musl", "-aarch64-linux-musl.so"),
    Platform("macosx_11_0_arm64", "aarch64-macos.11.0", "-darwin.so"),
    Platform("macosx_11_0_x86_64", "x86_64-macos.11.0", "-darwin.so"),
)

# As Python's own extensions are compiled; zig adds checks for undefined behaviour unless it is told not to.
_FLAGS = ("-std=c11", "-O2", "-DNDEBUG", "-fwrapv", "-fPIC", "-fno-sanitize=undefined", "-fvisibility=hidden",
          "-shared", "-Wl,-s")


def main(target: Path, versions: tuple[str, ...] = VERSIONS, platforms: tuple[Platform, ...] = PLATFORMS) -> list[Path]:
    """Builds a wheel for each version of Python on each platform into ``target``, and returns them. RuntimeError with
    the compiler's words where one does not compile.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        pure = wheels.pure(Path(name))
        wanted = [(version, platform) for version in versions for platform in platforms]
        for version, system in sorted({(version, platform.system) for version, platform in wanted}):
            headers(version, system)  # fetched one after another
        made = []
        with ThreadPoolExecutor(2) as pool:
            for path in pool.map(lambda one: _wheel(pure, one[0], one[1], target), wanted):
                print(f"{path}: {path.stat().st_size:,} bytes", flush=True)
                made.append(path)
    return made


def _wheel(pure: Path, version: str, platform: Platform, target: Path) -> Path:
    with tempfile.TemporaryDirectory() as name:
        _wheel_command("unpack", "--dest", name, pure)
        (tree,) = Path(name).iterdir()
        for source in SOURCES:
            _compile(version, platform, wheels.ROOT / NATIVE / source, tree / NATIVE)
        python = f"cp{version.replace('.', '')}"
        (about,) = tree.glob("*.dist-info/WHEEL")
        text = re.sub(r"(?m)^Tag: .*$", f"Tag: {python}-{python}-{platform.tag}", about.read_text())
        about.write_text(text.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false"))
        packed = Path(name, "packed")
        packed.mkdir()
        _wheel_command("pack", "--dest-dir", packed, tree)
        (made,) = packed.iterdir()
        return made.replace(target / made.name)


def _compile(version: str, platform: Platform, source: Path, into: Path) -> None:
    made = into / f"{source.stem}.cpython-{version.replace('.', '')}{platform.suffix}"
    mac = ("-undefined", "dynamic_lookup") if platform.system == "macosx" else ()
    words = [sys.executable, "-m", "ziglang", "cc", "-target", platform.target, *_FLAGS, *mac,
             f"-I{headers(version, platform.system)}", source, "-o", made]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source.name} for CPython {version} on {platform.tag}: {done.stderr.strip()}")


def _wheel_command(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "wheel", *words], check=True, stdout=subprocess.DEVNULL)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Wheels for every common system and CPython, in a folder.")
    parser.add_argument("folder", nargs="?", type=Path, default=wheels.ROOT / "dist")
    parser.add_argument("--python", nargs="*", default=VERSIONS, choices=VERSIONS, help="only these versions")
    parser.add_argument("--platform", nargs="*", choices=[one.tag for one in PLATFORMS], help="only these platforms",
                        default=[one.tag for one in PLATFORMS])
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    main(given.folder, tuple(given.python), tuple(one for one in PLATFORMS if one.tag in given.platform))
