"""docker-compose.yml as compose itself reads it: the program is there without a daemon, so nothing is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.deploy

ALWAYS = {"kafka", "registry", "k2conn"}


def read(*profiles: str, **variables: str) -> dict[str, Any]:
    program = Path(sys.executable).with_name("docker-compose")
    words = [word for name in profiles for word in ("--profile", name)]
    done = subprocess.run([program, *words, "config", "--format", "json"], cwd=ROOT, capture_output=True, text=True,
                          check=False, timeout=60, env=variables)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


@pytest.mark.parametrize(("profiles", "more"), [
    ((), set()),
    (("postgres",), {"postgres"}),
    (("group",), {"member-0", "member-1", "member-2"}),
    (("lake",), {"lake", "lake-writer"}),
    (("api",), {"lake", "lake-writer", "api"}),
    (("postgres", "lake", "api"), {"postgres", "lake", "lake-writer", "api"}),
])
def test_a_profile_starts_what_it_needs(profiles: tuple[str, ...], more: set[str]) -> None:
    services = read(*profiles)
    assert set(services) == ALWAYS | more
    for service in services.values():  # whom it waits for is started
        needed = {name for name, how in service.get("depends_on", {}).items() if how["required"]}
        assert needed <= set(services)
        assert service["deploy"]["resources"]["limits"]["memory"]


def test_members_of_a_group_have_names_of_their_own_and_share_all_else() -> None:
    members = [one for name, one in sorted(read("group").items()) if name.startswith("member-")]
    assert [one["hostname"] for one in members] == ["member-0", "member-1", "member-2"]
    assert len({json.dumps(one["environment"], sort_keys=True) for one in members}) == 1
    assert members[0]["environment"]["K2_KAFKA_DELIVERY"] == "exactly-once"
    assert len({one["ports"][0]["published"] for one in members}) == 3


def test_variables_reach_every_place_that_has_them() -> None:
    services = read("api", API_KEY="k" * 20, LAKE_ACCESS_KEY="mine", LAKE_SECRET_KEY="hidden-12345678")
    assert services["api"]["environment"]["K2_API_KEY"] == "k" * 20
    for name in ("api", "lake-writer"):
        assert services[name]["environment"]["K2_LAKE_CREDENTIAL"] == "mine:hidden-12345678"
    assert services["lake"]["environment"]["AWS_SECRET_ACCESS_KEY"] == "hidden-12345678"
