"""Builds `k2conn/native` during installation where there is a C compiler; k2conn also runs without, only slower.

K2CONN_PURE_PYTHON=1 skips the build.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("k2conn", "native")
SOURCES = (
    "mapper.c", "frames.c", "copy_rows.c", "bodies.c", "columns.c", "picking.c", "cells.c", "record_batch.c",
    "getters.c",
)


class NativeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling when it builds a wheel, also for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles into the source tree; the wheel includes the files made there."""
        folder = Path(self.root, NATIVE)
        for old in folder.glob("*.so"):
            old.unlink()
        if os.environ.get("K2CONN_PURE_PYTHON", "0") not in ("", "0"):
            return
        sysconfig.get_config_vars()  # read once: a second thread that asks meanwhile finds the half of them
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a compiler
            problems = [why for why in pool.map(compiled, (folder / source for source in SOURCES)) if why is not None]
        if problems:
            self.app.display_warning(f"k2conn is installed without its C extensions and will be slower: {problems[0]}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/{NATIVE.as_posix()}/*.so")


def compiled(source: Path) -> str | None:
    """Compiles one extension module beside its source. Returns why that failed, or None."""
    names = ("CC", "CFLAGS", "CCSHARED", "LDSHARED", "EXT_SUFFIX")
    config = {name: str(sysconfig.get_config_var(name) or "") for name in names}
    if not config["LDSHARED"] or not config["EXT_SUFFIX"]:
        return "this Python has no configuration for building extensions"
    target = source.with_suffix(config["EXT_SUFFIX"])
    object_file = target.with_suffix(".o")
    include = f"-I{sysconfig.get_path('include')}"
    steps = [
        [*shlex.split(config["CC"]), *shlex.split(config["CFLAGS"]), *shlex.split(config["CCSHARED"]), "-O2", include,
         "-c", str(source), "-o", str(object_file)],
        [*shlex.split(config["LDSHARED"]), str(object_file), "-o", str(target)],
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
        object_file.unlink(missing_ok=True)
    return None
