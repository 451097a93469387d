"""The complete image, as docker-compose.yml builds and sets it: an exchange, the lake, and the API over it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_image import built, exited_well, started, until
from tests.paths import ROOT
from tests.support.containers import Containers

pytestmark = pytest.mark.deploy

IMAGE = "localhost/k2conn-test-complete"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
KEY = "only-on-this-machine"
ASK = """import sys, urllib.request as u
request = u.Request("http://127.0.0.1:8000" + sys.argv[1], headers={"X-API-Key": sys.argv[2]})
print(u.urlopen(request, timeout=30).read().decode())"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    extras = SERVICES["api"]["build"]["args"]["EXTRAS"]
    with built(tmp_path_factory.mktemp("source"), IMAGE, EXTRAS=extras) as found:
        yield found


def filled(value: str) -> str:
    """A value with the defaults that compose puts in for `${NAME:-default}`."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def environment(service: str, **others: str) -> list[str]:
    """What compose gives a service, as options of podman."""
    given = {name: filled(value) for name, value in SERVICES[service]["environment"].items()} | others
    return [f"--env={name}={value}" for name, value in given.items()]


class Api:
    """The API in a container."""

    def __init__(self, image: Containers, name: str) -> None:
        self.image, self.name = image, name

    def healthy(self) -> bool:
        """By compose's own words."""
        kind, *words = SERVICES["api"]["healthcheck"]["test"]
        assert kind == "CMD"
        return exited_well(self.image.podman_command("exec", self.name, *words))

    def get(self, path: str, key: str = KEY) -> Any:
        return json.loads(self.image.podman("exec", self.name, "python", "-c", ASK, path, key))

    def refuses(self, path: str) -> bool:
        command = self.image.podman_command("exec", self.name, "python", "-c", ASK, path, "wrong")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return "HTTP Error 401" in done.stderr


def test_the_api_answers_over_a_folder_that_the_demo_filled(image: Containers) -> None:
    name = f"k2conn-test-{os.getpid()}"
    try:
        done = subprocess.run(image.run_command(
            "--rm", f"--volume={name}:/var/lib/k2conn", IMAGE, "demo", "--section", "all", "--duration", "3s",
            "--folder", "/var/lib/k2conn/demo",
        ), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "rows are in the tables" in done.stdout
        started(image.run_command(
            "--detach", f"--name={name}", f"--volume={name}:/var/lib/k2conn", f"--env=K2_API_KEY={KEY}",
            "--env=K2_API_HOST=0.0.0.0", "--env=K2_LAKE_FOLDER=/var/lib/k2conn/demo/lake", IMAGE, "serve", "--daemon",
            "--store", "lake",
        ))
        api = Api(image, name)
        until(api.healthy)
        assert api.refuses("/v1/trades")
        trades = api.get("/v1/trades?symbol=BTCUSD&exchange=kraken&limit=3")["data"]
        assert [(one["symbol"], one["exchange"]) for one in trades] == [("BTCUSD", "KRAKEN")] * 3
        assert {one["kind"] for one in api.get("/v1/stats")["kinds"]} >= {"trades", "quotes"}
        assert len(api.get("/v1/symbols")["data"]) == 6
        image.podman("stop", "--time", "15", name)
        assert image.podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    finally:
        image.remove(name)
        image.podman("volume", "rm", "--force", name)


def test_the_services_of_the_profile_find_each_other(image: Containers, tmp_path: Path) -> None:
    """As compose sets them: writer and API within the network of the object store. Kafka is not there, so a connector
    fills the tables itself, and the API does without live records.
    """
    weed = Path(sys.executable).with_name("weed")
    store = f"k2conn-test-{os.getpid()}-lake"
    names = [f"{store}-{part}" for part in ("api", "run", "mock")]
    try:
        started(image.run_command(
            "--detach", f"--name={store}", "--add-host=lake:127.0.0.1", "--tmpfs=/data", "--user=0",
            f"--volume={weed.resolve()}:/weed:ro", *environment("lake"), "--entrypoint=/weed", IMAGE,
            *SERVICES["lake"]["command"],
        ))
        inside = f"container:{store}"
        mock = image.run_command("--detach", f"--name={names[2]}", IMAGE, "mock", "kraken", "--port", "9985",
                                 network=inside)
        started(mock)
        venue = until(lambda: image.podman("logs", names[2]).strip())
        started(image.run_command("--detach", f"--name={names[1]}", "--volume=/var/lib/k2conn",
                                  *environment("lake-writer"), f"--env={venue}", IMAGE, "run", "kraken", "--daemon",
                                  "--sink", "iceberg", network=inside))
        command = [word for word in SERVICES["api"]["command"] if word not in ("--kafka", "kafka:29092")]
        started(image.run_command("--detach", f"--name={names[0]}", *environment("api"), IMAGE, *command,
                                  network=inside))
        api = Api(image, names[0])
        until(api.healthy)
        trades = until(lambda: api.get("/v1/trades?symbol=BTCUSD&limit=5")["data"])
        assert {one["exchange"] for one in trades} == {"KRAKEN"}
    finally:
        for one in (*names, store):  # in this order: the others are on the last one's network
            image.remove(one)
