"""`k2conn list`: the shipped connectors."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from k2conn import exactjson
from k2conn.cli.loading import load, shipped
from k2conn.errors import SettingsError


def run(output: str) -> int:
    """Prints a line for each connector."""
    if output not in ("text", "json"):
        raise SettingsError(f"--format {output}: known are text, json")
    plans = [load(str(path)) for path in shipped()]
    if output == "json":
        rows = [
            {"connector": p.name, "exchange": p.exchange, "asset_class": p.asset_class, "market": p.market,
             "streams": [s.name for s in p.streams], "docs": p.docs}
            for p in plans
        ]
        print(exactjson.encode(rows).decode())
        return 0
    console = Console()
    table = Table("connector", "exchange", "market", "streams", "documentation", box=None, pad_edge=False)
    for plan in plans:
        streams = ", ".join(s.name if s.default else f"({s.name})" for s in plan.streams)
        table.add_row(plan.name, plan.exchange, plan.market, streams, plan.docs)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    return 0
