"""Images under the names of others' that docker-compose.yml starts, where no registry can be asked for them.

Each is what tests/deploy/containers/stand_ins/Dockerfile makes of Debian's packages and of the servers that the tests
have. They are kept with the other images; one is made anew when what it is made of has changed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.paths import ROOT
from tests.servers.downloads import APICURIO_VERSION, KAFKA_VERSION, apicurio_jar, kafka_jars, kafka_tools_jars
from tests.support.containers import Containers

FOLDER = ROOT / "tests" / "deploy" / "containers" / "stand_ins"
PACKAGES = "openjdk-17-jre-headless,postgresql-15,prometheus,prometheus-alertmanager,wget"
WITHOUT = {"grafana"}
"""Services of which there is nothing to make one of."""


def stand_in(containers: Containers, services: Mapping[str, Mapping[str, Any]], scratch: Path) -> None:
    """Gives a stand-in the name of each image that no service builds. ``scratch``: an empty folder."""
    said = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
    weed = Path(sys.executable).with_name("weed").resolve()
    made_of = f"{PACKAGES} {KAFKA_VERSION} {APICURIO_VERSION} {weed.stat().st_size}".encode()
    digest = sha256(said + made_of).hexdigest()[:12]
    base = f"localhost/k2conn-test-servers:{sha256(PACKAGES.encode()).hexdigest()[:12]}"
    for name, service in services.items():
        if "build" in service or name in WITHOUT:
            continue
        made = f"localhost/k2conn-test-{name}:{digest}"
        if not containers.has(made):
            containers.debian(base, PACKAGES, "true")
            before = containers.tags(made.rpartition(":")[0])
            containers.build_target(_context(scratch, weed), name, made, base)
            for old in before:
                containers.podman("rmi", "--force", old)
        containers.buildah("tag", made, _whole(service["image"].partition("@")[0]))


def _whole(image: str) -> str:
    """The name with its registry: Docker's own where it begins with none."""
    first, _, rest = image.partition("/")
    if rest and ("." in first or ":" in first):
        return image
    return f"docker.io/{image if rest else f'library/{image}'}"


def _context(folder: Path, weed: Path) -> Path:
    """The folder that the Dockerfile copies from."""
    if not any(folder.iterdir()):
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        shutil.copytree(kafka_jars(), folder / "kafka")
        shutil.copytree(kafka_tools_jars(), folder / "kafka", dirs_exist_ok=True)
        shutil.copytree(apicurio_jar().parent, folder / "apicurio")
        shutil.copy(weed, folder / "weed")
    return folder
