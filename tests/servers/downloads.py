"""The servers' jars, downloaded once with Maven and kept outside the source tree.

They live in `$K2CONN_CACHE/servers-VERSIONS`, by default below `~/.cache/k2conn` or `$XDG_CACHE_HOME/k2conn`.
A download is made in a folder of its own and renamed into place when it is whole, under a lock, so a cut
download leaves nothing half done and two test runs on one machine share one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from .prerequisites import Missing, mvn, npm

KAFKA_VERSION = "4.1.1"
APICURIO_VERSION = "3.0.9"
QUESTDB_VERSION = "9.3.4"
AXE_VERSION = "4.14.1"
YAML_SERVER_VERSION = "1.25.0"
"""2.0 wants a newer Node than Debian has."""

_POM = Path(__file__).with_name("kafka.pom.xml")
_CONNECT = Path(__file__).resolve().parents[2] / "deploy" / "connect"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"
_COPY_DEPENDENCIES = f"{_PLUGIN}:3.6.1:copy-dependencies"
# The registry's parent POM is not published. Newer versions of the plugin insist on it; 2.10 does not.
_COPY = f"{_PLUGIN}:2.10:copy"


def kafka_jars() -> Path:
    """The folder of the Kafka broker's jars."""
    return _kept("kafka", _download_kafka)


def kafka_tools_jars() -> Path:
    """The jars of Kafka's own commands; only `make test-deploy` needs them."""
    return _kept("kafka-tools", lambda into: _download_kafka(into, "kafka-tools"))


def apicurio_jar() -> Path:
    """The runnable jar of the schema registry; its libraries lie beside it."""
    return _kept("apicurio", _download_apicurio) / f"apicurio-registry-app-{APICURIO_VERSION}-runner.jar"


def questdb_jar() -> Path:
    """QuestDB, one jar; only `make test-deploy` needs it."""
    name = f"questdb-{QUESTDB_VERSION}"
    return _kept(name, _download_questdb) / f"{name}.jar"


def axe_script() -> Path:
    """axe-core, one script that judges whether a page can be used by all; only `make test-deploy` needs it."""
    return _kept(f"axe-{AXE_VERSION}", _download_axe) / "node_modules" / "axe-core" / "axe.min.js"


def yaml_language_server() -> Path:
    """The language server that editors ask about YAML files, a script for Node; only `make test-deploy` needs it."""
    folder = _kept(f"yaml-language-server-{YAML_SERVER_VERSION}", _download_yaml_server)
    return folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"


def connect_folder() -> Path:
    """A worker of Kafka Connect with its plugins, as `deploy/connect/fetch` brings them; only `make test-deploy` needs
    it. A folder for each version of what is in `deploy/connect`.
    """
    said = sha256(b"".join(path.read_bytes() for path in sorted(_CONNECT.rglob("*")) if _makes(path)))
    return _kept(f"connect-{said.hexdigest()[:12]}", _download_connect)


def downloaded() -> bool:
    """Whether both servers are there already."""
    return all((cache_folder() / name).is_dir() for name in ("kafka", "apicurio"))


def cache_folder() -> Path:
    """Where the downloads of these versions are kept."""
    base = os.environ.get("K2CONN_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "k2conn")
    return Path(base) / f"servers-kafka{KAFKA_VERSION}-apicurio{APICURIO_VERSION}"


def _kept(name: str, download: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, downloaded first if it is not there."""
    cache = cache_folder()
    kept = cache / name
    if kept.is_dir():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if not kept.is_dir():  # another process may have brought it while this one waited
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as folder:
                whole = Path(folder) / name
                whole.mkdir()
                download(whole)
                whole.rename(kept)
    return kept


def _download_kafka(into: Path, artifact: str = "kafka_2.13") -> None:
    pom = into.parent / "pom.xml"
    shutil.copy(_POM, pom)
    _maven(
        into.parent,
        _COPY_DEPENDENCIES,
        f"-Dkafka.version={KAFKA_VERSION}",
        f"-Dkafka.artifact={artifact}",
        f"-DoutputDirectory={into}",
        "-DincludeScope=runtime",
    )


def _download_apicurio(into: Path) -> None:
    _maven(
        into.parent,
        _COPY,
        f"-Dartifact=io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all",
        f"-DoutputDirectory={into.parent}",
    )
    with tarfile.open(into.parent / f"apicurio-registry-app-{APICURIO_VERSION}-all.tar.gz") as archive:
        archive.extractall(into, filter="data")


def _makes(path: Path) -> bool:
    """Whether what is fetched depends on the file."""
    return path.name in ("fetch", "jars.sha256") or path.suffix in (".java", ".xml")


def _download_connect(into: Path) -> None:
    mvn()
    done = subprocess.run([_CONNECT / "fetch", into], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Missing(f"deploy/connect/fetch failed:\n{tail}")


def _download_questdb(into: Path) -> None:
    _maven(into.parent, _COPY, f"-Dartifact=org.questdb:questdb:{QUESTDB_VERSION}", f"-DoutputDirectory={into}")


def _download_axe(into: Path) -> None:
    _npm(into, f"axe-core@{AXE_VERSION}")


def _download_yaml_server(into: Path) -> None:
    _npm(into, f"yaml-language-server@{YAML_SERVER_VERSION}")


def _npm(into: Path, package: str) -> None:
    command = [npm(), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(into), package]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=into)
    if done.returncode:
        raise Missing(f"npm could not download {package}:\n{(done.stdout + done.stderr)[-1500:]}")


def _maven(folder: Path, *arguments: str) -> None:
    """Run Maven quietly; show the end of what it said where it fails."""
    command = [mvn(), "--quiet", "--batch-mode", "-Dstyle.color=never", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise Missing(
            "the test servers could not be downloaded; Maven needs a way to its central repository once "
            f"(a proxy goes into ~/.m2/settings.xml). It said:\n{tail}"
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; the system gives it back even where the holder is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
