"""The shipped Dockerfile is built, and its image run, for real: no engine and no registry is needed (see
`tests/support/containers.py`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from tests.paths import ROOT
from tests.support.containers import BARE, Containers
from tests.support.images import IMAGE, exited_well, started, until

pytestmark = pytest.mark.deploy

USER = "10001"
READY = "import urllib.request as u; u.urlopen('http://127.0.0.1:9091/ready', timeout=4)"


def test_the_image_explains_itself_and_knows_its_connectors(image: Containers) -> None:
    assert "Usage: k2conn" in run(image, "--help")
    names = {connector["connector"] for connector in json.loads(run(image, "list", "--format", "json"))}
    assert names == {path.stem for path in (ROOT / "connectors").glob("*.yaml")}


def test_its_user_has_no_rights_and_the_part_in_c_is_there(image: Containers) -> None:
    assert run(image, "-u", entrypoint="id").strip() == USER
    native = "import k2conn.native as n; print(n.Mapper is not None)"
    assert run(image, "-c", native, entrypoint="python").strip() == "True"


def test_nothing_of_it_can_be_written_but_its_folder_and_tmp(image: Containers) -> None:
    tried = "for f in / /etc /usr/local/lib /tmp; do touch $f/x 2>/dev/null && echo $f; done"
    assert run(image, "-c", tried, entrypoint="sh").split() == ["/tmp"]


def test_it_adds_no_more_to_its_base_than_the_page_says(image: Containers) -> None:
    sizes = [int(image.podman("image", "inspect", "--format", "{{.Size}}", name)) for name in (IMAGE, BARE)]
    (said,) = re.findall(r"adds (\d+) MB to its base", (ROOT / "docs" / "operations.md").read_text())
    added = (sizes[0] - sizes[1]) / 1e6
    assert 0.8 * int(said) < added < 1.1 * int(said), added


def test_it_has_what_its_extras_need(image: Containers) -> None:
    for package in ("asyncpg",):
        run(image, "-c", f"import {package}", entrypoint="python")


def test_the_demo_runs_in_it(image: Containers) -> None:
    said = run(image, "demo", "--duration", "2s")
    assert said.count(" dead letters 0 + in flight 0 + lost 0") == 3


def test_it_runs_against_an_exchange_is_healthy_and_stops_in_order(image: Containers) -> None:
    name = f"k2conn-test-{os.getpid()}"
    mock = f"{name}-mock"
    try:
        started(image.run_command("--detach", f"--name={mock}", IMAGE, "mock", "kraken", "--port", "9985"))
        variable = until(lambda: image.podman("logs", mock).strip())
        assert variable.startswith("K2_KRAKEN_WEBSOCKET_URL=ws://127.0.0.1:9985/")
        # CMD as it is shipped: `run --daemon`; records go where the image may write, the working folder.
        started(image.run_command(
            "--detach", f"--name={name}", "--volume", f"{name}:/var/lib/k2conn", "--env", variable,
            "--env", "K2_CONNECTORS=kraken", IMAGE, network=f"container:{mock}",
        ))
        until(lambda: exited_well(image.podman_command("healthcheck", "run", name)))
        topics = {"market.crypto.trades.kraken", "market.crypto.quotes.kraken"}
        until(lambda: topics == set(image.podman("exec", name, "ls", "data").split()))
        image.podman("exec", name, "python", "-c", READY)
        image.podman("stop", "--time", "15", name)
        assert image.podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
        logs = subprocess.run(image.podman_command("logs", name), capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in (logs.stdout + logs.stderr).splitlines()]
        last = next(line for line in reversed(lines) if line.get("connector") == "kraken" and "published" in line)
        assert last["published"] > 0
        assert (last["received"], last["lost"]) == (last["published"] + last["duplicates"], 0)
    finally:
        for one in (name, mock):  # in this order: the first is on the other's network
            image.podman("rm", "--force", "--ignore", "--time", "5", one)
        image.podman("volume", "rm", "--force", name)


def run(image: Containers, *arguments: str, entrypoint: str | None = None) -> str:
    chosen = ("--entrypoint", entrypoint) if entrypoint else ()
    done = subprocess.run(
        image.run_command("--rm", *chosen, IMAGE, *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
