"""Writes the image's bill of materials: `make sbom`, a CycloneDX document of requirements.lock.

Every package with its version, its package URL, and the hashes that it was locked with; k2conn is what they belong to.
The same lock gives the same document.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "dist" / "k2conn.cdx.json"


def main(target: Path = RESULT) -> int:
    """Writes the document; 1 where CycloneDX's own schema says that it is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = made()
    target.write_text(text)
    problem = problem_of(text)
    if problem:
        print(f"error: {target}: {problem}", file=sys.stderr)
    return 1 if problem else 0


def made() -> str:
    """The document."""
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--pyproject", ROOT / "pyproject.toml",
         "--mc-type", "application", "--output-reproducible", "--output-format", "JSON", "--output-file", "-",
         ROOT / "requirements.lock"], check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    return json.dumps(completed(json.loads(said)), indent=1, sort_keys=True) + "\n"


def completed(document: dict[str, object]) -> dict[str, object]:
    """What the tool cannot know of a lock: which packages k2conn asks for itself. Its descriptions, which repeat every
    line of the lock, are left out.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in project["dependencies"]}
    root = document["metadata"]["component"]  # type: ignore[index]  # its shape is checked by the schema below
    references = {}
    for component in document["components"]:  # type: ignore[attr-defined]
        component.pop("description", None)
        references[component["name"].lower()] = component["bom-ref"]
    direct = sorted(references[name] for name in asked)
    others = [one for one in document["dependencies"] if one["ref"] != root["bom-ref"]]  # type: ignore[attr-defined]
    document["dependencies"] = [*others, {"ref": root["bom-ref"], "dependsOn": direct}]
    return document


def problem_of(text: str) -> str | None:
    """What is wrong with a document, by the schema of CycloneDX; None where nothing is."""
    version = SchemaVersion.from_version(json.loads(text)["specVersion"])
    found = make_schemabased_validator(OutputFormat.JSON, version).validate_str(text)
    return None if found is None else str(found)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
