"""Who carries what: the symbols of all connectors, dealt out to the workers.

Round the table, so that every worker gets a like number of symbols, beginning at another worker for each connector;
symbols that only one process can carry together (`k2conn.engine.planning.inseparable_symbols`) go to one. The same jobs
are always dealt in the same way. A deal that follows another one (a reload) leaves everything where it is.

A venue counts connections by machine, not by process: each worker keeps to its part of the limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.planning.inseparable_symbols import bundles
from k2conn.engine.resilience.limit_share import part_of
from k2conn.errors import SettingsError
from k2conn.plan import Connection, Limits, Plan, Stream
from k2conn.runner import Job
from k2conn.runner.wanted_symbols import asks_for_all, resolve


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's part: for each connector that it runs, the symbols by their native names, and among how many workers
    the venue's limits are divided.
    """

    symbols: Mapping[str, tuple[str, ...]]
    among: Mapping[str, int]

    def jobs(self, jobs: Sequence[Job]) -> list[Job]:
        """This worker's part of some jobs; those of which it has none are left out."""
        return [
            replace(self._part(job), plan=limited(job.plan, self.among[job.plan.name]))
            for job in jobs
            if job.plan.name in self.symbols
        ]

    def _part(self, job: Job) -> Job:
        """A job with this worker's symbols; of all symbols a share, or what the venue has one word for as a whole."""
        names = self.symbols[job.plan.name]
        if not asks_for_all(job.wanted):
            return replace(job, symbols=names)
        return job if job.plan.symbols.all else replace(job, share=names)

    def plain(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"symbols": {name: list(one) for name, one in self.symbols.items()}, "among": dict(self.among)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Assignment:
        """What `plain` gave."""
        return cls({name: tuple(one) for name, one in plain["symbols"].items()}, plain["among"])


def assign(jobs: Sequence[Job], workers: int) -> tuple[Assignment, ...]:
    """A share for each of so many workers. SettingsError where there is not enough for all."""
    table = _Table(jobs, workers)
    for at, bundle in table.bundles():
        table.give(at, bundle, table.open_to(at))
    idle = workers - sum(any(hands) for hands in zip(*table.hands, strict=True))
    if idle:
        raise SettingsError(
            f"--workers {workers}: there is work for {workers - idle} only (symbols that share a subscription stay"
            f" together, and a venue may bound the connections); say --workers {workers - idle}"
        )
    return table.assignments()


def reassign(jobs: Sequence[Job], before: Sequence[Assignment]) -> tuple[Assignment, ...]:
    """The shares after a change, with every symbol where it was; new ones go to workers that run their connector.

    Connectors that were not there before are left out. SettingsError where the change needs a restart.
    """
    known = {name for assignment in before for name in assignment.symbols}
    table = _Table([job for job in jobs if job.plan.name in known], len(before))
    late: list[tuple[int, list[str]]] = []
    for at, bundle in table.bundles():
        name = table.jobs[at].plan.name
        owners = [
            worker for worker, assignment in enumerate(before) if set(bundle) & set(assignment.symbols.get(name, ()))
        ]
        if len(owners) > 1:
            raise SettingsError(f"{name}: {', '.join(bundle[:5])} now share a subscription, but not a worker: restart")
        if owners:
            table.give(at, bundle, owners)
        else:
            late.append((at, bundle))
    for at, bundle in late:
        name = table.jobs[at].plan.name
        table.give(at, bundle, [worker for worker, assignment in enumerate(before) if name in assignment.symbols])
    for worker, assignment in enumerate(before):
        for at, job in enumerate(table.jobs):
            if job.plan.name in assignment.symbols and not table.hands[at][worker]:
                raise SettingsError(f"{job.plan.name}: nothing would be left for worker {worker}: restart")
    return table.assignments()


class _Table:
    """Some jobs' bundles, and what each worker has been given."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.jobs = jobs
        self.hands: list[list[list[str]]] = [[[] for _ in range(workers)] for _ in jobs]
        """By job and worker."""
        self._load = [0] * workers
        self._most = [_most_workers(job, workers) for job in jobs]
        self._names = [_names(job) for job in jobs]

    def bundles(self) -> list[tuple[int, list[str]]]:
        """All bundles with the number of their job, large ones first."""
        found = [
            (at, bundle)
            for at, job in enumerate(self.jobs)
            for bundle in bundles(job.plan, _streams(job), self._names[at])
        ]
        return sorted(found, key=lambda one: -len(one[1]))

    def open_to(self, at: int) -> list[int]:
        """The workers that may carry symbols of a job: not more than the venue allows connections."""
        carrying = [worker for worker, hand in enumerate(self.hands[at]) if hand]
        return carrying if len(carrying) >= self._most[at] else list(range(len(self._load)))

    def give(self, at: int, bundle: Sequence[str], workers: Sequence[int]) -> None:
        """Gives a bundle to the one of some workers that has least."""
        hand = self.hands[at]
        turn = len(self._load)
        worker = min(workers, key=lambda one: (self._load[one], len(hand[one]), (one - at) % turn))
        hand[worker] += bundle
        self._load[worker] += len(bundle)

    def _among(self, job: Job, hands: Sequence[Sequence[str]]) -> int:
        """Among how many workers a venue's limits are divided: those that run the connector, or all, where the venue
        counts what other connectors do, too.
        """
        shared = any(connection.limits.per == "ip" for connection in job.plan.connections)
        return len(self._load) if shared else sum(map(bool, hands))

    def assignments(self) -> tuple[Assignment, ...]:
        """What each worker has, in the order in which the symbols were named."""
        names = [job.plan.name for job in self.jobs]
        order = [{name: place for place, name in enumerate(one)} for one in self._names]
        among = {job.plan.name: self._among(job, hands) for job, hands in zip(self.jobs, self.hands, strict=True)}
        found = []
        for worker in range(len(self._load)):
            symbols = {
                name: tuple(sorted(self.hands[at][worker], key=order[at].__getitem__))
                for at, name in enumerate(names)
                if self.hands[at][worker]
            }
            found.append(Assignment(symbols, {name: among[name] for name in symbols}))
        return tuple(found)


def _names(job: Job) -> list[str]:
    """A job's symbols, each once. SettingsError for one that nothing reads; where the venue's list says what names mean
    that cannot be told yet. All symbols are one where the venue has a word for them, which cannot be divided.
    """
    wanted = job.symbols or job.plan.symbols.default
    if asks_for_all(wanted) and job.share is not None:
        return list(job.share)
    listed = job.plan.symbols.list
    if listed is None or not listed.names:
        return [symbol.native for symbol in resolve(job.plan, wanted)]
    return list(dict.fromkeys(wanted))


def _streams(job: Job) -> tuple[Stream, ...]:
    return ConnectorState(job.plan, job.streams).streams


def _most_workers(job: Job, workers: int) -> int:
    """How many workers may each have a connection of every kind, by the venue's limits."""
    replicas = job.overrides.replicas
    bounds = [
        one.limits.connections // (replicas or one.replicas)
        for one in job.plan.connections
        if one.limits.connections is not None
    ]
    return max(1, min([workers, *bounds]))


def limited(plan: Plan, among: int) -> Plan:
    """The plan with one worker's part of what a venue allows a machine."""
    if among == 1:
        return plan
    return replace(
        plan,
        connections=tuple(_limited(one, among) for one in plan.connections),
        streams=tuple(
            replace(stream, backfill=tuple(replace(one, limit=part_of(one.limit, among)) for one in stream.backfill))
            for stream in plan.streams
        ),
    )


def _limited(connection: Connection, among: int) -> Connection:
    limits: Limits = connection.limits
    most = limits.connections
    part = replace(
        limits, connect=part_of(limits.connect, among), requests=part_of(limits.requests, among),
        connections=None if most is None else max(1, most // among),
    )
    return replace(connection, limits=part)
