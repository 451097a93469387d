"""`k2conn anomalies`: what is odd about the records of recordings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from k2conn.anomalies.settings import AnomalySettings
from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.errors import SettingsError
from k2conn.recording.reader import is_recording
from k2conn.settings import connector_settings
from k2conn.tools.anomalies_of_recordings import AnomaliesOfRecordings

NOTHING, ODD = 0, 1


def run(connector: str, recordings: Sequence[Path], json: bool) -> int:
    """Looks through recordings, in the order in which they are named; the exit code."""
    plan = load(connector)
    if plan.reads_files:
        raise SettingsError(f"{plan.name} reads files: nothing says when a row arrived")
    strangers = [str(path) for path in recordings if not is_recording(path)]
    if strangers:
        raise SettingsError(f"{', '.join(strangers)}: no recording of `k2conn record`, which says when frames arrived")
    said = connector_settings(os.environ, plan.exchange, plan.name).overrides.anomalies
    looking = AnomaliesOfRecordings(plan, AnomalySettings(said=said.said))
    found = 0
    for path in recordings:
        for one in looking.look(path):
            found += 1
            _show(path, one, json)
    for one in looking.rest():
        found += 1
        _show(recordings[-1], one, json)
    for text in looking.troubles:
        show(text, error=True)
    marker = looking.marker
    if not marker.looked:
        raise SettingsError(f"no trade or quote of {plan.name} in {', '.join(map(str, recordings))}")
    odd = sum(marker.reports.counts.values())
    show(f"{plan.name}: {looking.frames} frames, {marker.looked} records, {odd} odd, told {found} times", error=True)
    return ODD if found else NOTHING


def _show(path: Path, one: Mapping[str, Any], json: bool) -> None:
    if json:
        show_json({"recording": str(path), **one})
        return
    said = f"{one['stream']} {one['symbol']}: {one['kind']}"
    if one["observed"] is not None:
        said += f" {one['observed']}" + (f" beyond {one['bound']}" if one["bound"] is not None else "")
        said += "" if one["unit"] == "none" else f" ({one['unit']})"
    if one["detail"]:
        said += f" {one['detail']}"
    show(f"{said}, {one['count']} of it; record {one['record_message_id']}")
