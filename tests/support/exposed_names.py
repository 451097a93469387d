"""The names of all metrics that k2conn exposes, of the code that exposes them."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import get_args

from k2conn.consumer.consumption import Consumption
from k2conn.consumer.settings import ConsumerSettings
from k2conn.monitoring.console.web_console import WebConsole
from k2conn.monitoring.consumption_view import ConsumptionView
from k2conn.monitoring.health import RunnerView
from k2conn.monitoring.metrics import SpoolFigure, exposition
from k2conn.runner.status import GroupStatus
from k2conn.sinks.settings import SinkSettings
from k2conn.workers.metrics_merge import pool_metrics
from tests.support.venues import CONNECTION, Run, Venue

GROUP: GroupStatus = {
    "name": "g", "instance": "a", "joined": True, "generation": 1, "slots": 64, "owned": 64, "lost": 0, "carrying": 64,
    "without_owner": [], "not_carried": [], "moves": 64, "fenced": 0, "warm": 0, "other_symbols": [], "members": [],
}
_TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


@cache
def families() -> dict[str, str]:
    """Each family's kind by its name, as the exposition says both."""
    run = Run(Venue().plan(connection=CONNECTION % 1))
    run.runner.group = lambda: GROUP
    consumption = Consumption(ConsumerSettings(topics=("x",)), SinkSettings(kind="console"))
    consumed = asyncio.run(ConsumptionView(consumption).metrics()).decode()
    console = WebConsole(RunnerView(run.runner), None, "", True).metrics().decode()
    text = exposition(run.runner).decode() + pool_metrics([(0, True, 0)]) + consumed + console
    spool = {f"k2conn_spool_{figure}": "gauge" for figure in get_args(SpoolFigure)}
    return {**dict(_TYPE.findall(text)), **spool}


@cache
def series_names() -> set[str]:
    """What a series may be called: a histogram has three names."""
    found: set[str] = set()
    for name, kind in families().items():
        found |= {f"{name}_{end}" for end in ("bucket", "count", "sum")} if kind == "histogram" else {name}
    return found
