"""docs/performance.md, made of the results: `python -m benchmarks report`.

Every figure on it is from a result file; the words on reasons are from benchmarks/notes.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import spelled
from benchmarks.sections import PLOTS, SECTIONS, table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOTES = HERE / "notes.md"
DOCS = HERE.parent / "docs"
PAGE = "performance.md"
HEAD = """\
# Performance

Made by `python -m benchmarks report` from the files in [benchmarks/results](../benchmarks/results) and
[benchmarks/notes.md](../benchmarks/notes.md); a change by hand is undone by the next report. `make bench` measures all
again. Absolute times say as much about the machine as about the program; ratios taken in one run say more.

Everything runs on one machine: the feeder that plays the venues, the program under measurement, and (where there is
one) a real Kafka broker of one node with a schema registry. What is off: TLS, compression on the WebSocket, and
replicas (`acks=all` is one broker's word). What is on: the idempotent producer, lz4, validation, ids, vendor_data,
duplicate windows, gap tracking, the ledger, the spool and metrics. A trade's CPU is that of all threads of the
program's process.
"""


def write(results: Path = RESULTS, docs: Path = DOCS) -> list[Path]:
    """Writes the page and its plots into ``docs``, removes plots that are no longer in it; the files."""
    files = []
    made = files_of(results)
    for name, text in made.items():
        file = docs / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        files.append(file)
    for old in (docs / PLOTS).glob("*.svg"):
        if f"{PLOTS}/{old.name}" not in made:
            old.unlink()
    return files


def files_of(results: Path = RESULTS, notes: Path = NOTES) -> dict[str, str]:
    """The text of the page and of its plots, by their paths below the docs folder."""
    found = {file.stem: json.loads(file.read_bytes()) for file in sorted(results.glob("*.json"))}
    order = [*(name for name in SECTIONS if name in found), *(name for name in found if name not in SECTIONS)]
    lines = [HEAD, "## Targets", "", *_targets(found, order), "## Machine", "", *_machine(found, order)]
    files = {}
    for name in order:
        if name in SECTIONS:
            title, section = SECTIONS[name]
            page, plots = section(found[name]["result"])
            lines += [f"## {title}", "", *_method(found[name]), *page]
            files.update({f"{PLOTS}/{file}": text for file, text in plots.items()})
    if notes.exists():
        lines += ["## Reasons, and what was tried", "", notes.read_text(encoding="utf-8").strip(), ""]
    missing = [name for name in SECTIONS if name not in found]
    if missing:
        lines += ["## Not measured", "", "There is no result of: " + ", ".join(missing) + ".", ""]
    return {PAGE: "\n".join(lines).rstrip() + "\n", **files}


def _targets(found: Mapping[str, Mapping[str, Any]], order: list[str]) -> list[str]:
    rows = [(name, target["name"], target["want"], _figure(target["got"]), "yes" if target["met"] else "**no**")
            for name in order for target in _given(found[name])]
    met = sum(row[-1] == "yes" for row in rows)
    if not rows:
        return ["The results name no targets.", ""]
    return [*table(("benchmark", "what", "wanted", "measured", "met"), rows), f"{met} of {len(rows)} are met.", ""]


def _given(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A result's targets, where it has any."""
    result = found.get("result", {})
    given: list[dict[str, Any]] = (result.get("targets") if isinstance(result, Mapping) else None) or []
    return given


def _figure(got: object) -> str:
    if got is None:
        return "not measured"
    return spelled(got) if isinstance(got, int | float) and not isinstance(got, bool) else str(got)


def _machine(found: Mapping[str, Mapping[str, Any]], order: list[str]) -> list[str]:
    machines = {json.dumps(one.get("machine", {}), sort_keys=True) for one in found.values() if one.get("machine")}
    lines = []
    for text in sorted(machines):
        one = json.loads(text)
        lines.append(f"- {one['cpu']}, {one['cores']} cores, {one['memory_gb']:g} GB of memory, {one['system']}")
    rows = []
    for name in order:
        one = found[name]
        quick = " (quick: not to be quoted)" if one.get("quick") else ""
        load = spelled(one["load"]) if "load" in one else ""
        native = {True: "yes", False: "no"}.get(one.get("native", ""), "")
        rows.append((f"{name}{quick}", one.get("at", ""), one.get("version", ""), native, one.get("python", ""), load))
    heads = ("benchmark", "taken at", "k2conn", "with its part in C", "Python", "load at its start")
    return [*lines, *([""] if lines else []), *table(heads, rows)]


def _method(found: Mapping[str, Any]) -> list[str]:
    """How it was measured, in the benchmark's own words."""
    method = str(found.get("method", "")).strip()
    return [method, ""] if method else []
