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
    names = list(dict.fromkeys(job.wanted))
    if asks_for_all(names):
        if not plan.symbols.all:
            raise SettingsError(f"{plan.name}: which symbols are all the venue's list says, and members read that when"
                                " they begin: name them, or start the members again")
    elif plan.symbols.list is None or not plan.symbols.list.names:
        names = [symbol.native for symbol in resolve(plan, tuple(names))]
    streams = ConnectorState(plan, job.streams).streams
    replicas = job.overrides.replicas
    connections = [
        one.limits.connections // (replicas or one.replicas)
        for one in plan.connections if one.limits.connections is not None
    ]
    most = min(spread(min(connections, default=None), one.limits.connect or POLITE_CONNECTS)
               for one in plan.connections)
    # the venue's word for all is one subscription, which one member has
    bundled = [names] if asks_for_all(names) else bundles(plan, streams, names)
    return Bundled(plan.name, tuple(map(tuple, bundled)), most, max(1, len(streams)))
