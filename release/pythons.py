"""CPythons of each version, for systems that are not this one: headers to compile against, and programs to try what was
made.

They are whole CPythons that the project JavaCPP Presets builds and publishes on Maven Central (python.org has none for
Linux, and only installers for macOS), fetched once by checksum into `$K2CONN_CACHE/pythons`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import urllib.request
import zipfile
from pathlib import Path

_BASE = "https://repo1.maven.org/maven2/org/bytedeco/cpython"
_PUBLISHED = {
    "3.11": ("3.11.3-1.5.9", {
        "linux-x86_64": "668b42f6a8b1a9789de7d3ca54a81fefb754cd8e885554b42858bbcbc0dd497c",
        "linux-arm64": "c98d023d4f79bdae2fb8973443324e48bb39e5b8f149a24e9d0317eb165d7925",
        "macosx-x86_64": "223aed1538351b9df68781f60afa865c5ca6cc640353cb5d46b4706049cec5e4",
    }),
    "3.12": ("3.12.1-1.5.10", {
        "linux-x86_64": "a135fcf4dc01adebf7ea439252276fc3196db80f7e0dd3da0b61f1ec489b68bd",
        "linux-arm64": "4876e6a9eb45c4e2faf7c9f9ef8cb9f16a462c45c3440d4c2e15e6acc8f4e0df",
        "macosx-x86_64": "536045fa9d1b892b5ec2453d3d785eb44daa58ffa246fb04c0e28590283cf0e4",
    }),
    "3.13": ("3.13.5-1.5.12", {
        "linux-x86_64": "50ad91aa0baa57f0235bb666b87d8bf2a44e215d28c250de1030502906af143b",
        "macosx-x86_64": "0c79e881075b8d7752be384a429a8b53d14ba00d939a7d04074deb1b1d3db19c",
    }),
    "3.14": ("3.14.3-1.5.13", {
        "linux-x86_64": "eb5f1a6fe2dc498ac18927189a37f28a47b0ba06ae6bd85112eff023fe2eb46f",
        "linux-arm64": "75d0ac8f457bdb2d6b684796c282ce4da1e0c377a02b954de2c718f80901a15f",
        "macosx-x86_64": "16f6d92143248378b57cee445924b2c3388020abfc8982ffb6a6ba64d6d7bb23",
    }),
}
VERSIONS = tuple(_PUBLISHED)
"""Those that wheels are made for."""


def headers(version: str, system: str) -> Path:
    """The folder of ``Python.h`` for a system (``linux`` or ``macosx``). Its processors have the same headers: what
    differs among 64-bit ones (the size of ``long double``) is nothing that the part in C uses.
    """
    return unpacked(version, f"{system}-x86_64") / "include" / f"python{version}"


def unpacked(version: str, platform: str) -> Path:
    """A whole CPython, `bin/python3` in it; it finds its libraries by `LD_LIBRARY_PATH`, which is this folder."""
    full, sums = _PUBLISHED[version]
    folder = _cache() / f"{full}-{platform}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            jar = Path(name, "python.jar")
            _fetch(f"{_BASE}/{full}/cpython-{full}-{platform}.jar", sums[platform], jar)
            _unpack(jar, Path(name, "all"))
            found = Path(name, "all", "org", "bytedeco", "cpython", platform)
            if not folder.exists():  # else another process was quicker
                found.rename(folder)
    return folder


def _cache() -> Path:
    given = os.environ.get("K2CONN_CACHE")
    root = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k2conn"
    return root / "pythons"


def _fetch(url: str, checksum: str, into: Path) -> None:
    with urllib.request.urlopen(url, timeout=60) as answer, into.open("wb") as file:
        shutil.copyfileobj(answer, file)
    with into.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != checksum:
        raise RuntimeError(f"{url}: its SHA-256 is {found}, not {checksum}")


def _unpack(jar: Path, into: Path) -> None:
    """A jar keeps no modes: what is in `bin` can be run."""
    with zipfile.ZipFile(jar) as archive:
        archive.extractall(into)
    for path in into.rglob("bin/*"):
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
