"""`k2conn drift`: how a venue's messages change in the course of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.drift.detector import Drift
from k2conn.errors import SettingsError
from k2conn.tools.drift_of_recordings import LESS, DriftOfRecordings

NOTHING, DRIFT = 0, 1


def run(connector: str, recordings: Sequence[Path], against: Sequence[Path], json: bool) -> int:
    """Looks through recordings, in the order in which they are named; the exit code."""
    plan = load(connector)
    if plan.reads_files:
        raise SettingsError(f"{plan.name} reads files: they have no messages")
    looking = DriftOfRecordings(plan, LESS if against else None)
    for path in against:
        for _ in looking.look(path):
            pass
    known = looking.messages
    if against and not known:
        raise SettingsError(f"--against: no message of {plan.name} in {', '.join(map(str, against))}")
    found = 0
    for path in recordings:
        for one in looking.look(path):
            found += 1
            _show(path, one, json)
    for text in looking.troubles:
        show(text, error=True)
    if looking.messages == known:
        raise SettingsError(f"no message of {plan.name}'s streams in {', '.join(map(str, recordings))}")
    show(f"{plan.name}: {looking.frames} frames, {looking.messages} messages, {found} changes", error=True)
    return DRIFT if found else NOTHING


def _show(path: Path, drift: Drift, json: bool) -> None:
    if json:
        show_json({"recording": str(path), **drift.as_dict()})
        return
    said = f"{drift.stream or 'no stream'}: {drift.change} {drift.path}"
    if drift.before or drift.after:
        said += f" ({' -> '.join(part for part in (drift.before, drift.after) if part)})"
    show(f"{said}: {drift.advice}")
