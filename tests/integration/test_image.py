"""The shipped Dockerfile is built, and its image run, for real: no engine and no registry is needed (see
`tests/support/containers.py`).
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.servers.process import free_port
from tests.support.containers import Containers, NoContainers, containers

IMAGE = "localhost/k2conn-test"
USER = "10001"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The image, built from what git knows of this tree and nothing else that lies in it."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    try:
        with containers() as found:
            found.build(source, IMAGE)
            yield found
            found.podman("rmi", "--force", IMAGE)
    except NoContainers as why:
        pytest.skip(str(why))


def test_the_image_explains_itself_and_knows_its_connectors(image: Containers) -> None:
    assert "Usage: k2conn" in run(image, "--help")
    names = {connector["connector"] for connector in json.loads(run(image, "list", "--format", "json"))}
    assert names == {path.stem for path in (ROOT / "connectors").glob("*.yaml")}


def test_its_user_has_no_rights_and_the_part_in_c_is_there(image: Containers) -> None:
    assert run(image, "-u", entrypoint="id").strip() == USER
    native = "import k2conn.native as n; print(n.Shortcut is not None)"
    assert run(image, "-c", native, entrypoint="python").strip() == "True"


def test_the_demo_runs_in_it(image: Containers) -> None:
    said = run(image, "demo", "--duration", "2s")
    assert said.count(" dead letters 0 + in flight 0 + lost 0") == 3


def test_it_runs_against_an_exchange_is_healthy_and_stops_in_order(image: Containers, tmp_path: Path) -> None:
    port, metrics = free_port(), 9091
    name = f"k2conn-test-{port}"
    mock = subprocess.Popen(
        image.run_command("--rm", f"--name={name}-mock", IMAGE, "mock", "kraken", "--port", str(port)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        assert mock.stdout is not None
        variable = mock.stdout.readline().strip()
        assert variable.startswith("K2_KRAKEN_WEBSOCKET_URL=")
        # CMD as it is shipped: `run --daemon`; records go where the image may write, the working folder.
        image.podman(
            *image.run_command(
                "--detach", f"--name={name}", "--volume", f"{name}:/var/lib/k2conn", "--env", variable,
                "--env", "K2_CONNECTORS=kraken", "--env", "K2_METRICS_HOST=127.0.0.1", IMAGE,
            )[len(image.podman_command()):]
        )
        wait_until_ready(metrics)
        image.podman("healthcheck", "run", name)
        files = image.podman("exec", name, "find", "data", "-name", "*.avro").split()
        assert {file.split("/")[1] for file in files} == {"market.crypto.trades.kraken", "market.crypto.quotes.kraken"}
        image.podman("stop", "--time", "15", name)
        assert image.podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
        logs = subprocess.run(image.podman_command("logs", name), capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in (logs.stdout + logs.stderr).splitlines()]
        last = next(line for line in reversed(lines) if line.get("connector") == "kraken" and "published" in line)
        assert last["published"] > 0
        assert (last["received"], last["lost"]) == (last["published"] + last["duplicates"], 0)
    finally:
        image.podman("rm", "--force", "--ignore", name, f"{name}-mock")
        image.podman("volume", "rm", "--force", name)
        mock.communicate(timeout=20)


def run(image: Containers, *arguments: str, entrypoint: str | None = None) -> str:
    chosen = ("--entrypoint", entrypoint) if entrypoint else ()
    done = subprocess.run(
        image.run_command("--rm", *chosen, IMAGE, *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until_ready(port: int, within: float = 30) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    raise AssertionError("the container never became ready")
