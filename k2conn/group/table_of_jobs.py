"""The slots of what is to run."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.planning.inseparable_symbols import bundles
from k2conn.errors import SettingsError
from k2conn.group.slots import Bundled, SlotTable, spread
from k2conn.plan import POLITE_CONNECTS
from k2conn.runner import Job
from k2conn.runner.wanted_symbols import asks_for_all, resolve


def slot_table(jobs: Sequence[Job], slots: int, state: str = "") -> SlotTable:
    """All jobs' symbols by slot. SettingsError for a symbol that nothing reads, and where nobody knows yet which there
    are.
    """
    return SlotTable(slots, tuple(_bundled(job) for job in jobs), state)


def _bundled(job: Job) -> Bundled:
    plan = job.plan
    if asks_for_all(job.wanted):
        raise SettingsError(f"{plan.name}: nobody knows yet which symbols are all, so they cannot be shared in a group:"
                            " name them, or run one process")
    names = list(dict.fromkeys(job.wanted))
    if plan.symbols.list is None or not plan.symbols.list.names:
        names = [symbol.native for symbol in resolve(plan, tuple(names))]
    streams = ConnectorState(plan, job.streams).streams
    replicas = job.overrides.replicas
    connections = [
        one.limits.connections // (replicas or one.replicas)
        for one in plan.connections if one.limits.connections is not None
    ]
    most = min(spread(min(connections, default=None), one.limits.connect or POLITE_CONNECTS)
               for one in plan.connections)
    return Bundled(plan.name, tuple(map(tuple, bundles(plan, streams, names))), most, max(1, len(streams)))
