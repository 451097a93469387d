"""Container images, built and run without an engine: buildah builds, podman runs, no registry is asked for anything.

The images that a Dockerfile begins from are made here, of Debian's packages: one stand-in with Python and a C compiler,
under each of the names. Its Python is Debian's, which may be older than the name says. It is kept in
`$K2CONN_CACHE/containers` (see `tests/servers/downloads.py`); the first run takes about two minutes for it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.downloads import cache_folder

PACKAGES = ("buildah", "podman", "runc", "catatonit", "mmdebstrap", "debian-archive-keyring", "netavark",
            "aardvark-dns", "iptables", "iproute2")
SUITE = "bookworm"
_INSIDE = "python3,python3-pip,python3-dev,gcc,libc6-dev,ca-certificates"
_NETWORKS = ("/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns")
_CERTIFICATES = "/etc/ssl/certs"
_BUILD = ("--pull=never", "--format=docker", "--layers=false")
BARE = "localhost/k2conn-test-base"


class NoContainers(RuntimeError):
    """Why no container can be built here."""


class Containers:
    """One storage of images, and the two programs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run"),
                         "--storage-driver", "overlay"]

    def buildah(self, *arguments: str, within: float = 150, cwd: Path | None = None) -> str:
        """What buildah prints; AssertionError with all it said where it fails."""
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        return _done(["buildah", *self._storage, *arguments], within, cwd, environment)

    def podman_command(self, *arguments: str) -> list[str]:
        """The command line of podman."""
        return ["podman", *self._storage, "--cgroup-manager=cgroupfs", "--runtime=runc", *arguments]

    def podman(self, *arguments: str, within: float = 60) -> str:
        """What podman prints; AssertionError with all it said where it fails."""
        return _done(self.podman_command(*arguments), within)

    def remove(self, name: str) -> None:
        """Ends a container, and removes it with the volumes that are its alone. On a busy machine podman kills what has
        ended by itself meanwhile, and takes that for a failure: it is asked again.
        """
        command = self.podman_command("rm", "--force", "--ignore", "--volumes", "--time", "10", name)
        for _ in range(2):
            if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0:
                return
        _done(command, 60)

    def run_command(self, *arguments: str, network: str = "none") -> list[str]:
        """The command line that runs a container, its own files read-only. ``network``: `none` but its own loopback, or
        `container:NAME` for another container's.
        """
        limits = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
        return self.podman_command("run", f"--network={network}", *limits, "--read-only", "--tmpfs=/tmp", *arguments)

    def stand_in(self, names: set[str]) -> None:
        """Makes the base image, where it is not there yet, and gives it the names that a Dockerfile begins from."""
        self.debian(BARE, _INSIDE, "ln -sf python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED")
        for name in names:
            self.buildah("tag", BARE, f"docker.io/library/{name}")

    def has(self, name: str) -> bool:
        """Whether there is an image of this name and tag."""
        return f"{name}\n" in self.buildah("images", "--format", "{{.Name}}\n{{.Name}}:{{.Tag}}")

    def tags(self, name: str) -> list[str]:
        """The images of a name, each with its tag."""
        listed = self.buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()
        return [one for one in listed if one.rpartition(":")[0] == name]

    def debian(self, name: str, packages: str, command: str) -> None:
        """Makes an image of Debian's packages, and runs a command of the shell in it, where it is not there yet."""
        if self.has(name):
            return
        archive = self.folder / "base.tar"
        _done(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", SUITE, str(archive)], 400)
        container = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", container, str(archive), "/")
        archive.unlink()
        self.buildah("run", container, "--", "sh", "-c", command)
        self.buildah("commit", "--quiet", "--rm", container, name)

    def build(self, folder: Path, tag: str, **arguments: str) -> None:
        """Builds a folder's Dockerfile, as `docker build --build-arg NAME=VALUE` does."""
        # Whatever digest the file asks for: it is another image that stands in for it.
        bases = dict(re.findall(r"^ARG (\w+_IMAGE)=([^\s@]+)", (folder / "Dockerfile").read_text(), re.MULTILINE))
        self.stand_in(set(bases.values()))
        given = [f"--build-arg={name}={value}" for name, value in {**bases, **arguments}.items()]
        certificates = ("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro") if Path(_CERTIFICATES).is_dir() else ()
        self.buildah("build", *_BUILD, *certificates, *given, "--tag", tag, ".", within=900, cwd=folder)

    def build_target(self, folder: Path, target: str, tag: str, base: str) -> None:
        """Builds one of the targets of a Dockerfile that begins from ``base``."""
        self.buildah("build", *_BUILD, f"--target={target}", f"--build-arg=BASE={base}", "--tag", tag, ".", within=300,
                     cwd=folder)


@contextmanager
def containers() -> Iterator[Containers]:
    """The storage, for one process at a time; raises NoContainers."""
    folder = cache_folder().parent / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()
        yield Containers(folder)


def _install() -> None:
    """The programs, installed where that can be done."""
    programs = ("buildah", "podman", "runc", "mmdebstrap", "ip", "iptables", *_NETWORKS)
    if os.geteuid() != 0:
        raise NoContainers("no container can be built here: it takes root")
    if all(map(shutil.which, programs)):
        return
    if shutil.which("apt-get") is None:
        missing = ", ".join(name for name in programs if shutil.which(name) is None)
        raise NoContainers(f"no container can be built here: {missing} is missing, and there is no apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _done(["apt-get", "update", "-qq"], 120, None, environment)
    _done(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], 200, None, environment)


def _done(
    command: list[str], within: float, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
