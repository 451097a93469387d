"""The complete image, as docker-compose.yml builds it: the lake, and the API over it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
import yaml

from tests.paths import ROOT
from tests.support.containers import Containers
from tests.support.images import COMPLETE, exited_well, started, until

pytestmark = pytest.mark.deploy

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KEY = "only-on-this-machine"
ASK = """import sys, urllib.request as u
request = u.Request("http://127.0.0.1:8000" + sys.argv[1], headers={"X-API-Key": sys.argv[2]})
print(u.urlopen(request, timeout=30).read().decode())"""


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


def test_the_api_answers_over_a_folder_that_the_demo_filled(complete: Containers) -> None:
    name = f"k2conn-test-{os.getpid()}"
    try:
        done = subprocess.run(complete.run_command(
            "--rm", f"--volume={name}:/var/lib/k2conn", COMPLETE, "demo", "--section", "all", "--duration", "3s",
            "--folder", "/var/lib/k2conn/demo",
        ), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "rows are in the tables" in done.stdout
        started(complete.run_command(
            "--detach", f"--name={name}", f"--volume={name}:/var/lib/k2conn", f"--env=K2_API_KEY={KEY}",
            "--env=K2_API_HOST=0.0.0.0", "--env=K2_LAKE_FOLDER=/var/lib/k2conn/demo/lake", COMPLETE, "serve",
            "--daemon", "--store", "lake",
        ))
        api = Api(complete, name)
        until(api.healthy)
        assert api.refuses("/v1/trades")
        trades = api.get("/v1/trades?symbol=BTCUSD&exchange=kraken&limit=3")["data"]
        assert [(one["symbol"], one["exchange"]) for one in trades] == [("BTCUSD", "KRAKEN")] * 3
        assert {one["kind"] for one in api.get("/v1/stats")["kinds"]} >= {"trades", "quotes"}
        assert len(api.get("/v1/symbols")["data"]) == 6
        complete.podman("stop", "--time", "15", name)
        assert complete.podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    finally:
        complete.remove(name)
        complete.podman("volume", "rm", "--force", name)
