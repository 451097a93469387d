"""What clusters and machines are told of k2conn: it may do no more than it needs, and has the time to stop."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k2conn.runner.runner import FLUSH_WITHIN, RECEIVE_WITHIN
from k2conn.variables import PROCESS_VARIABLES
from tests.paths import ROOT

DEPLOY = ROOT / "deploy"
MANIFESTS = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes" / "k2conn.yaml").read_text()) if one}
POD = MANIFESTS["StatefulSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
UNIT = (DEPLOY / "systemd" / "k2conn.service").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
STOPS_WITHIN = RECEIVE_WITHIN + FLUSH_WITHIN
"""Seconds that a process gives itself to stop."""
OTHERS = {"PYTHONUNBUFFERED"}


def test_a_cluster_has_all_kinds_of_it() -> None:
    kinds = {"StatefulSet", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}
    assert MANIFESTS.keys() == kinds
    monitor = yaml.safe_load((DEPLOY / "kubernetes" / "servicemonitor.yaml").read_text())
    labels = MANIFESTS["Service"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels[monitor["spec"]["jobLabel"]].startswith("k2conn")
    assert monitor["spec"]["endpoints"][0]["port"] == MANIFESTS["Service"]["spec"]["ports"][0]["name"]


def test_it_is_asked_whether_it_lives_and_whether_it_is_ready() -> None:
    alive, ready = CONTAINER["livenessProbe"], CONTAINER["readinessProbe"]
    assert (alive["httpGet"]["path"], alive["initialDelaySeconds"], alive["periodSeconds"]) == ("/live", 5, 10)
    assert (ready["httpGet"]["path"], ready["initialDelaySeconds"], ready["periodSeconds"]) == ("/ready", 5, 5)


def test_it_has_no_rights() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }
    user = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert user is not None
    assert POD["securityContext"]["runAsUser"] == int(user[1])


def test_what_it_writes_is_on_a_volume() -> None:
    mounted = {one["mountPath"]: one["name"] for one in CONTAINER["volumeMounts"]}
    (claim,) = MANIFESTS["StatefulSet"]["spec"]["volumeClaimTemplates"]
    variables = {one["name"]: one["value"] for one in CONTAINER["env"]}
    assert mounted["/var/lib/k2conn"] == claim["metadata"]["name"]
    for name in ("K2_SPOOL_FOLDER", "K2_STATE_FOLDER"):
        assert variables[name].startswith("/var/lib/k2conn/")
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert int(variables["K2_SPOOL_MAX_BYTES"]) < 10 * 2**30


def test_it_has_the_time_to_hand_over_what_it_holds() -> None:
    assert POD["terminationGracePeriodSeconds"] > STOPS_WITHIN
    assert int(COMPOSE["k2conn"]["stop_grace_period"].removesuffix("s")) > STOPS_WITHIN
    (within,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(within) > STOPS_WITHIN


def test_a_node_can_be_drained() -> None:
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("service", COMPOSE)
def test_every_service_of_compose_says_how_it_does(service: str) -> None:
    of_its_image = "build" in COMPOSE[service] and "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    assert of_its_image or "healthcheck" in COMPOSE[service]


@pytest.mark.parametrize("service", ["k2conn", "prometheus", "alertmanager", "grafana"])
def test_it_is_limited(service: str) -> None:
    resources = COMPOSE[service]["deploy"]["resources"]
    assert resources["limits"].keys() == resources["reservations"].keys() == {"cpus", "memory"}


def test_every_variable_is_one_of_ours() -> None:
    said = {one["name"] for one in CONTAINER["env"]} | set(re.findall(r"[ =](K2_\w+|PYTHON\w+)=", UNIT))
    operations = (ROOT / "docs" / "operations.md").read_text()
    for name in said - OTHERS:
        plain = name if f"`{name}`" in operations else name.removesuffix("_FILE")
        assert plain in PROCESS_VARIABLES or f"`{plain}`" in operations, name


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    unit = tmp_path / "k2conn.service"
    unit.write_text(UNIT.replace("/opt/k2conn/bin/k2conn", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_setting_is_not_started_again_and_again() -> None:
    assert "\nRestartPreventExitStatus=2 78\n" in UNIT
    assert "\nRestart=on-failure\n" in UNIT
