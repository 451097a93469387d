"""Where figures come from: the machine, its load, Python and the libraries that do the work."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from k2conn import __version__
from tests.servers.downloads import APICURIO_VERSION, KAFKA_VERSION

LIBRARIES = ("websockets", "uvloop", "msgspec", "jmespath", "fastavro", "aiokafka", "cramjam")


def described() -> dict[str, Any]:
    """This machine, as it is now."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_build": _build(),
        "k2conn": __version__,
        "kafka": KAFKA_VERSION,
        "registry": f"Apicurio {APICURIO_VERSION}",
        "libraries": {name: _version(name) for name in LIBRARIES},
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _build() -> str:
    """Whether the interpreter was built with profile-guided optimisation, which is worth a quarter of all CPU."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = f"{sysconfig.get_config_var('PY_CORE_CFLAGS') or ''} {sysconfig.get_config_var('CONFIGURE_CFLAGS') or ''}"
    optimised = "--enable-optimizations" in arguments or "-fprofile-use" in flags or sys.executable.startswith("/usr/bin")
    return "profile-guided" if optimised else "not profile-guided"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
