"""The chart and the manifests, judged by Helm and against the schemas of Kubernetes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from k2conn.variable_definitions import PROCESS_VARIABLES
from tests.integration.test_run import environment
from tests.paths import ROOT
from tests.servers.go_programs import HELM, KUBECONFORM, go_program
from tests.servers.prerequisites import Missing

pytestmark = pytest.mark.deploy
CHART = ROOT / "deploy" / "helm" / "k2conn"
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSION = "1.33.0"
VALUES = {
    "shipped": "",
    "plain": (KUBERNETES / "values.yaml").read_text(),
    "stateless": """
persistence: {enabled: false}
podDisruptionBudget: {enabled: false}
networkPolicy: {enabled: false}
connectorFiles: {mine.yaml: "name: mine"}
connectors: [/etc/k2conn/connectors/mine.yaml]
registry: http://registry:8081
podAnnotations: {a: b}
nodeSelector: {c: d}
tolerations: [{key: a, operator: Exists}]
imagePullSecrets: [{name: e}]
""",
    "group": "group: {name: market, members: 5}",
    "exactly-once": "{group: {name: market, members: 3, slots: 12}, delivery: exactly-once}",
    "state in Kafka": "{group: {name: market, members: 3, slots: 12}, state: kafka}",
    "exactly-once by a variable": "{group: {name: market}, env: {K2_KAFKA_DELIVERY: exactly-once}}",
    "everything": """
workers: 4
env: {K2_KRAKEN_SYMBOLS: "BTC/USD,ETH/USD"}
secrets: {K2_KRAKEN_API_KEY: {secret: kraken, key: api-key}, K2_KAFKA_SASL_PASSWORD: {secret: kafka, key: password}}
persistence: {storageClass: fast}
connectorFiles: {mine.yaml: "name: mine"}
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
""",
}


def program(package: str) -> Path:
    try:
        return go_program(package)
    except Missing as why:
        pytest.skip(str(why))


def done(*command: object, given: str | None = None) -> str:
    found = subprocess.run([str(one) for one in command], input=given, capture_output=True, text=True, timeout=120,
                           check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def helm() -> Path:
    return program(HELM)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The newest version of Kubernetes that there are schemas of, and the folder as kubeconform reads it."""
    found = importlib.util.find_spec("kubernetes_validate")
    assert found is not None, "pip install -e '.[deploy]'"
    assert found.origin is not None
    source = max((Path(found.origin).parent / "kubernetes-json-schema").glob("v*-local-strict"),
                 key=lambda path: [int(part) for part in path.name[1:].split("-")[0].split(".")])
    version = source.name[1:].split("-")[0]
    folder = tmp_path_factory.mktemp("schemas")
    target = folder / f"v{version}-standalone-strict"
    target.mkdir()
    for path in source.glob("*.json"):
        schema = json.loads(path.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
        schema.pop("$id", None)
        (target / path.name).write_text(json.dumps(schema))
    return version, folder


def rendered(helm: Path, folder: Path, values: str, *more: str) -> str:
    file = folder / "values.yaml"
    file.write_text(values)
    return done(helm, "template", "k2conn", CHART, "--kube-version", VERSION, "-f", file, *more)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_helm_finds_no_fault(helm: Path, tmp_path: Path, values: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(values)
    assert "0 chart(s) failed" in done(helm, "lint", CHART, "--strict", "-f", file)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_kubernetes_takes_every_object(
    helm: Path, schemas: tuple[str, Path], tmp_path: Path, values: str
) -> None:
    text = rendered(helm, tmp_path, values)
    objects = [one for one in yaml.safe_load_all(text) if one]
    said = json.loads(judged(schemas, text))
    # A kind without a schema would be passed over in silence.
    assert said["summary"] == {"valid": len(objects), "invalid": 0, "errors": 0, "skipped": 0}


def judged(schemas: tuple[str, Path], text: str) -> str:
    version, folder = schemas
    return done(program(KUBECONFORM), "-strict", "-summary", "-output", "json", "-kubernetes-version", version,
                "-schema-location", folder, "-", given=text)


def test_an_object_that_is_wrong_is_seen(helm: Path, schemas: tuple[str, Path], tmp_path: Path) -> None:
    text = rendered(helm, tmp_path, "").replace("livenessProbe:", "livelinessProbe:")
    with pytest.raises(AssertionError, match="livelinessProbe"):
        judged(schemas, text)


def test_the_plain_manifests_are_the_chart(helm: Path, tmp_path: Path) -> None:
    made = rendered(helm, tmp_path, VALUES["plain"])
    assert (KUBERNETES / "k2conn.yaml").read_text().endswith(made)
    monitor = rendered(helm, tmp_path, VALUES["plain"], "--set", "serviceMonitor.enabled=true", "-s",
                       "templates/servicemonitor.yaml")
    assert (KUBERNETES / "servicemonitor.yaml").read_text().endswith(monitor)


def test_without_a_volume_it_is_a_deployment_without_a_spool(helm: Path, tmp_path: Path) -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all(rendered(helm, tmp_path, VALUES["stateless"])) if one}
    assert "StatefulSet" not in objects
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["K2_SPOOL"] == "never"
    assert "K2_STATE_FOLDER" not in variables


def test_the_pods_of_a_group_are_members_by_their_own_names(helm: Path, tmp_path: Path) -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all(rendered(helm, tmp_path, VALUES["group"])) if one}
    spec = objects["StatefulSet"]["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (5, "Parallel")
    (container,) = spec["template"]["spec"]["containers"]
    variables = {one["name"]: one for one in container["env"]}
    assert variables["K2_GROUP"]["value"] == "market"
    assert variables["K2_GROUP_INSTANCE_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert set(variables) & {name for name in PROCESS_VARIABLES if name.startswith("K2_GROUP")} == {
        "K2_GROUP", "K2_GROUP_INSTANCE_ID", "K2_GROUP_SLOTS", "K2_GROUP_SESSION"}
    alone = {one["kind"]: one for one in yaml.safe_load_all(rendered(helm, tmp_path, "")) if one}
    assert alone["StatefulSet"]["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("name", "delivery"), [("exactly-once", "exactly-once"), ("state in Kafka", "at-least-once"),
                           ("exactly-once by a variable", "exactly-once")],
)
def test_where_state_is_in_kafka_no_folder_has_it_and_k2conn_takes_the_settings(
    helm: Path, tmp_path: Path, name: str, delivery: str
) -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all(rendered(helm, tmp_path, VALUES[name])) if one}
    (container,) = objects["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") or "pod-0" for one in container["env"]}
    assert variables["K2_KAFKA_DELIVERY"] == delivery
    assert "K2_STATE_FOLDER" not in variables
    found = subprocess.run(
        [sys.executable, "-m", "k2conn", "run", "--port", "-1"], capture_output=True, text=True, timeout=120,
        check=False, cwd=tmp_path, env=environment(**{
            **variables, "K2_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "K2_SPOOL_FOLDER": str(tmp_path / "spool"),
        }),
    )
    assert found.returncode == 69, "it lacks nothing but Kafka: " + found.stdout + found.stderr


def test_secrets_are_files(helm: Path, tmp_path: Path) -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all(rendered(helm, tmp_path, VALUES["everything"])) if one}
    (container,) = objects["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["K2_KRAKEN_API_KEY_FILE"] == "/run/secrets/K2_KRAKEN_API_KEY/api-key"
    assert "K2_KRAKEN_API_KEY" not in variables
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert "/run/secrets/K2_KRAKEN_API_KEY" in mounts


def test_the_chart_is_packed(helm: Path, tmp_path: Path) -> None:
    done(helm, "package", CHART, "-d", tmp_path)
    assert (tmp_path / "k2conn-0.1.0.tgz").exists()
