"""Builds `k2conn/native` while k2conn is installed, where there is a C compiler; without one k2conn runs all the same.

K2CONN_PURE_PYTHON=1 leaves it out.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("k2conn", "native")
SOURCES = ("shortcut.c", "frames.c")


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for wheels, those of editable installs among them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles into the source tree; the wheel takes what it finds there."""
        folder = Path(self.root, NATIVE)
        for old in folder.glob("*.so"):
            old.unlink()
        if os.environ.get("K2CONN_PURE_PYTHON", "0") not in ("", "0"):
            return
        for source in SOURCES:
            why = compiled(folder / source)
            if why is not None:
                self.app.display_warning(f"k2conn goes without its part in C, and is slower: {why}")
                return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/{NATIVE.as_posix()}/*.so")


def compiled(source: Path) -> str | None:
    """Compiles one extension module beside its source. Why that failed; None where it did not."""
    names = ("CC", "CFLAGS", "CCSHARED", "LDSHARED", "EXT_SUFFIX")
    said = {name: str(sysconfig.get_config_var(name) or "") for name in names}
    if not said["LDSHARED"] or not said["EXT_SUFFIX"]:
        return "this Python does not say how extensions are built"
    target = source.with_suffix(said["EXT_SUFFIX"])
    makes = target.with_suffix(".o")
    include = f"-I{sysconfig.get_path('include')}"
    steps = [
        [*shlex.split(said["CC"]), *shlex.split(said["CFLAGS"]), *shlex.split(said["CCSHARED"]), "-O2", include,
         "-c", str(source), "-o", str(makes)],
        [*shlex.split(said["LDSHARED"]), str(makes), "-o", str(target)],
    ]
    try:
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines()
                return next((line for line in lines if "error" in line), lines[-1] if lines else "no reason was given")
    except OSError as error:
        return f"{step[0]}: {error.strerror}"
    finally:
        makes.unlink(missing_ok=True)
    return None
