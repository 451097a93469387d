"""The venue's instrument list for a process that talks to a test's own venue: what the connector's tests show of it."""

from __future__ import annotations

from pathlib import Path

from k2conn.cli.loading import load
from k2conn.runner.saved_list import saved_text
from k2conn.variables import prefix_of


def shown_list(folder: Path, name: str) -> dict[str, str]:
    """The variable by which a connector reads that list and asks nobody; the file is written into a folder. Nothing for
    a connector without one.
    """
    plan = load(name)
    if plan.symbols.list is None:
        return {}
    path = folder / f"{plan.name}.list.json"
    path.write_bytes(saved_text(plan.name, [answer for one in plan.symbols.list.shown for answer in one.answers]))
    return {f"{prefix_of(plan.name)}INSTRUMENT_LIST": str(path)}
