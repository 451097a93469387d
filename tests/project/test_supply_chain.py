"""What the image is made of: packages by hash, images that can be pinned, a bill of materials, no needless rights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from release import lock, pin_images, sbom
from tests.paths import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
LOCKS = {
    **{
        name: PYPROJECT["project"]["dependencies"]
        + [line for extra in extras for line in PYPROJECT["project"]["optional-dependencies"][extra]]
        for name, extras in lock.EXTRAS.items()
    },
    "requirements-build.lock": PYPROJECT["build-system"]["requires"],
}
ENVIRONMENTS: list[dict[str, str]] = [
    {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    for version in ("3.11", "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]

HERE: dict[str, str] = {}
"""Where the tests run: what a marker asks for is looked at here."""


def locked(name: str) -> dict[str, list[tuple[Requirement, list[str]]]]:
    """The lines of a lock by package, each with its hashes."""
    text = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    found: dict[str, list[tuple[Requirement, list[str]]]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            said, *hashes = re.split(r"\s+--hash=", line)
            requirement = Requirement(said)
            found.setdefault(canonicalize_name(requirement.name), []).append(
                (requirement, [one.strip() for one in hashes])
            )
    return found


def chosen(name: str, package: str, environment: dict[str, str]) -> Version | None:
    """The version of a package that a lock gives to a machine."""
    for requirement, _ in locked(name).get(canonicalize_name(package), []):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (only,) = requirement.specifier
            return Version(only.version)
    return None


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_version_with_hashes(name: str) -> None:
    lines = [line for several in locked(name).values() for line in several]
    assert len(lines) > 5
    for requirement, hashes in lines:
        assert [one.operator for one in requirement.specifier] == ["=="], requirement
        assert not requirement.url
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: "-".join(list(one.values())[::2][:2]))
def test_the_lock_is_what_the_project_asks_for(name: str, environment: dict[str, str]) -> None:
    for line in LOCKS[name]:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            version = chosen(name, requirement.name, environment)
            assert version is not None, f"{line}: make lock"
            assert requirement.specifier.contains(version), f"{line}, but {version}: make lock"


@pytest.mark.parametrize("name", lock.EXTRAS)
def test_the_lock_holds_all_that_its_packages_need(name: str) -> None:
    """As far as it can be known here: of packages that are installed in the very version."""
    missing = []
    packages = [package for package in locked(name) if (version := chosen(name, package, HERE)) is not None
                and version == Version(distribution(package).version)]
    assert len(packages) > len(locked(name)) // 2
    for package in packages:
        for line in distribution(package).requires or []:
            needed = Requirement(line)
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and chosen(name, needed.name, HERE) is None:
                missing.append(f"{package} needs {line}")
    assert not missing


def test_the_complete_image_has_the_versions_of_the_other() -> None:
    complete = locked("requirements-complete.lock")
    for package, lines in locked("requirements.lock").items():
        assert lines == complete[package], package


def test_the_image_takes_the_lock_of_its_extras() -> None:
    (choice,) = re.findall(r"RUN (case .* esac)", DOCKERFILE)
    for extras in ("", "postgres", "lake", "postgres,lake,api", "api", "keys"):
        done = subprocess.run(["sh", "-c", f'{choice}; echo "$lock"'], env={"EXTRAS": extras}, capture_output=True,
                              text=True, check=True)
        held = lock.EXTRAS[done.stdout.strip()]
        assert set(filter(None, extras.split(","))) <= set(held), extras


def test_compiled_packages_have_a_hash_for_each_processor() -> None:
    """A pure package has two files, one compiled for some versions of Python on two processors many."""
    compiled = []
    for name in locked("requirements.lock"):
        if chosen("requirements.lock", name, HERE) is not None:
            wheel = distribution(name).read_text("WHEEL") or ""
            compiled += [name] if "Tag: py3-none-any" not in wheel else []
    assert {"msgspec", "fastavro", "pyyaml"} <= set(compiled)
    for name in compiled:
        (_, hashes), *_ = locked("requirements.lock")[name]
        assert len(hashes) >= 4, name


def test_the_image_is_installed_from_the_lock_and_asks_no_index_for_anything_else() -> None:
    steps = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line.startswith("RUN ")]
    parts = [part for step in steps for part in step.split("&&")]
    fetching = [part for part in parts if re.search(r"pip (install|wheel|download)", part)]
    assert len(fetching) == 4
    for part in fetching:
        by_hash = {"--require-hashes", "--no-deps", "--only-binary=:all:"}
        assert "--no-index" in part or by_hash <= set(part.split()), part


def test_examples_publish_on_this_machine_only_and_give_no_rights() -> None:
    published = re.findall(r"-p (\S+)", DOCKERFILE)
    assert published
    services: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    published += [port for service in services.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert services["k2conn"]["read_only"] is True
    assert services["k2conn"]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in services["k2conn"]["security_opt"]
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert not re.search(r"-p \d+:\d+", page.read_text()), page


def test_every_image_of_ours_is_pinned_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "skopeo").write_text(f'#!/bin/sh\necho "$*" >> {asked}\nprintf "index of %s" "$3"\n')
    (tmp_path / "skopeo").chmod(0o755)
    for name in pin_images.FILES:
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(pin_images, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert pin_images.main() == 0
    once = [(tmp_path / name).read_text() for name in pin_images.FILES]
    assert pin_images.main() == 0  # again: nothing has changed at the registry
    assert [(tmp_path / name).read_text() for name in pin_images.FILES] == once
    (name,) = re.findall(r"RUN_IMAGE=([^@\s]+)", DOCKERFILE)
    python = f"docker://docker.io/library/{name}"
    assert f"inspect --raw {python}" in asked.read_text()
    dockerfile, compose = once
    assert f"@sha256:{sha256(f'index of {python}'.encode()).hexdigest()}\n" in dockerfile
    bases = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    stages = re.findall(r"^FROM \$\{(\w+)\}", dockerfile, re.MULTILINE)
    assert len(stages) == len(re.findall(r"^FROM ", dockerfile, re.MULTILINE)) == 2
    images = [bases[stage] for stage in stages]
    images += [one["image"] for one in yaml.safe_load(compose)["services"].values() if "build" not in one]
    assert len(images) == 9
    assert all(re.search(r":[^@/]+@sha256:[0-9a-f]{64}$", image) for image in images)


def test_every_image_of_others_has_a_digest() -> None:
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)", DOCKERFILE, re.MULTILINE)
    images += [one["image"] for one in yaml.safe_load(COMPOSE)["services"].values() if "build" not in one]
    images = [image for image in images if not image.startswith("k2conn")]
    assert len(images) == 9
    assert not [image for image in images if not re.fullmatch(r"[^@]+:[^@/]+@sha256:[0-9a-f]{64}", image)]


def test_where_the_registry_does_not_answer_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "skopeo").write_text("#!/bin/sh\necho no such host >&2\nexit 1\n")
    (tmp_path / "skopeo").chmod(0o755)
    for name in pin_images.FILES:
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(pin_images, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert pin_images.main() == 1
    assert "no such host" in capsys.readouterr().err
    assert all((tmp_path / name).read_text() == (ROOT / name).read_text() for name in pin_images.FILES)


@pytest.mark.deploy
def test_the_bill_of_materials_is_one_and_names_every_package(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "release.sbom", tmp_path / "bill"], cwd=ROOT, check=True)  # it has no problem
    text = (tmp_path / "bill").read_text()
    assert sbom.made() == text
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    root = document["metadata"]["component"]
    assert (root["name"], root["version"]) == ("k2conn", PYPROJECT["project"]["version"])
    lock = locked("requirements.lock")
    assert {one["purl"].partition("@")[0] for one in document["components"]} == {f"pkg:pypi/{name}" for name in lock}
    for component in document["components"]:
        hashes = {found for known in component["externalReferences"] for found in map(_hash, known.get("hashes", ()))}
        assert hashes == {one for line in lock[canonicalize_name(component["name"])] for one in line[1]}
    (asked,) = (one["dependsOn"] for one in document["dependencies"] if one["ref"] == root["bom-ref"])
    assert len(asked) == len(PYPROJECT["project"]["dependencies"])
    del document["components"][0]["name"]
    assert sbom.problem_of(json.dumps(document)) is not None


def _hash(said: dict[str, str]) -> str:
    return f"{said['alg'].replace('-', '').lower()}:{said['content']}"
