"""Programs that are built from source by Go, once, and kept in `$K2CONN_CACHE/go`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from .downloads import cache_folder
from .prerequisites import Missing

HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
_DASHBOARD_CHECK = Path(__file__).with_name("dashboard_check")
_BUILDS_WITHIN = 1800
"""Seconds; Helm takes minutes."""


def go_program(package: str) -> Path:
    """The program of a package: on PATH, or built. Raises Missing."""
    name, version = package.rsplit("/", 1)[-1].split("@")
    if found := shutil.which(name):
        return Path(found)
    return _built(name, version, ["install", package], None)


def dashboard_check() -> Path:
    """The judge of dashboards, built of the source beside this file. Raises Missing."""
    said = b"".join(path.read_bytes() for path in sorted(_DASHBOARD_CHECK.iterdir()))
    return _built("dashboard_check", sha256(said).hexdigest()[:12], ["install", "."], _DASHBOARD_CHECK)


def _built(name: str, version: str, arguments: Sequence[str], source: Path | None) -> Path:
    folder = cache_folder().parent / "go"
    built = folder / f"{name}-{version}"
    if built.exists():
        return built
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise Missing(f"no {name} here, and no Go to build it: go {' '.join(arguments)}")
    environment = {**os.environ, "GOBIN": str(folder / "new")}
    done = subprocess.run([go, *arguments], cwd=source, env=environment, capture_output=True, text=True,
                          timeout=_BUILDS_WITHIN, check=False)
    if done.returncode:
        raise Missing(f"no {name} here, and it cannot be built: {done.stderr[-1000:]}")
    (folder / "new" / name).rename(built)
    return built
