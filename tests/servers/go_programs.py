"""Programs that are built from source by Go, once, and kept in `$K2CONN_CACHE/go`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .downloads import cache_folder
from .prerequisites import Missing

HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
_BUILDS_WITHIN = 1800
"""Seconds; Helm takes minutes."""


def go_program(package: str) -> Path:
    """The program of a package: on PATH, or built. Raises Missing."""
    name = package.split("@")[0].rsplit("/", 1)[-1]
    if found := shutil.which(name):
        return Path(found)
    folder = cache_folder().parent / "go"
    built = folder / f"{name}-{package.rsplit('@', 1)[-1]}"
    if built.exists():
        return built
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise Missing(f"no {name} here, and no Go to build it: go install {package}")
    environment = {**os.environ, "GOBIN": str(folder / "new")}
    done = subprocess.run([go, "install", package], env=environment, capture_output=True, text=True,
                          timeout=_BUILDS_WITHIN, check=False)
    if done.returncode:
        raise Missing(f"no {name} here, and it cannot be built: {done.stderr[-1000:]}")
    (folder / "new" / name).rename(built)
    return built
