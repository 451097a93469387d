"""One storage, and each image built once, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT
from tests.support.containers import Containers, NoContainers, containers
from tests.support.images import COMPLETE, IMAGE, copy_sources


@pytest.fixture(scope="package")
def store() -> Iterator[Containers]:
    """Where images are, for one process at a time; a skip where none can be built."""
    try:
        with containers() as found:
            yield found
    except NoContainers as why:
        pytest.skip(str(why))


@pytest.fixture(scope="package")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("source")
    copy_sources(folder)
    return folder


@pytest.fixture(scope="package")
def image(store: Containers, source: Path) -> Containers:
    """The storage with the image as it is by default."""
    return _built(store, source, IMAGE)


@pytest.fixture(scope="package")
def complete(store: Containers, source: Path) -> Containers:
    """The storage with the image that docker-compose.yml builds for the lake and the API."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return _built(store, source, COMPLETE, EXTRAS=services["api"]["build"]["args"]["EXTRAS"])


def _built(store: Containers, source: Path, name: str, **arguments: str) -> Containers:
    """Builds an image, unless the one of the last run was made of the same files."""
    kept = f"localhost/k2conn-test-of-{name.rpartition('/')[2]}"
    made = f"{kept}:{_digest(source)}"
    if not store.has(made):
        before = store.tags(kept)
        store.build(source, made, **arguments)
        for old in before:
            store.podman("rmi", "--force", old)
    store.buildah("tag", made, name)
    return store


def _digest(source: Path) -> str:
    """Of all that goes to the build, and of the file that says how."""
    found = sha256((source / "Dockerfile").read_bytes())
    wanted = [line[1:] for line in (source / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in sorted(one for name in wanted for one in (source / name, *(source / name).rglob("*"))):
        if path.is_file():
            found.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]
