"""`k2conn list`: the shipped connectors."""

from __future__ import annotations

from k2conn.cli.loading import load, shipped
from k2conn.cli.messages import show_json
from k2conn.cli.screen import Column, screen, table
from k2conn.errors import SettingsError

_COLUMNS = (Column("connector"), Column("exchange", leaves=1), Column("market", leaves=2),
            Column("streams", least=16), Column("evidence", leaves=4), Column("documentation", leaves=3))


def run(output: str) -> int:
    """Prints a line for each connector."""
    if output not in ("text", "json"):
        raise SettingsError(f"--format {output}: known are text, json")
    plans = [load(str(path)) for path in shipped()]
    if output == "json":
        rows = [
            {"connector": p.name, "exchange": p.exchange, "asset_class": p.asset_class, "market": p.market,
             "streams": [s.written for s in p.written], "docs": p.docs, "evidence": p.evidence}
            for p in plans
        ]
        show_json(rows)
        return 0
    console = screen()
    cells = [
        (p.name, p.exchange, p.market,
         ", ".join(s.written if s.default else f"({s.written})" for s in p.written), p.evidence, p.docs)
        for p in plans
    ]
    console.print(table(_COLUMNS, cells, console.width))
    return 0
