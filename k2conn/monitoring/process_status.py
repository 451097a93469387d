"""What a process says of itself on /health: the shape, how it is made of a runner, and how several become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

from k2conn import __version__
from k2conn.consumer.status import SourceStatus
from k2conn.engine.resilience.silence_detection import REASONS, SilenceState
from k2conn.graded import GradedState
from k2conn.merging import each_by_name, total
from k2conn.monitoring.feed_figures import FeedFigures, beyond_limits, feed_figures, memory_mb, merge_feeds
from k2conn.runner import Connector, Runner
from k2conn.runner.anomaly_watch import SHOWN
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.status import ConnectorStatus, GroupStatus, merge_connectors
from k2conn.secret_mask import SECRETS
from k2conn.spool.status import SpooledSinkStatus, merge_sinks


class Health(GradedState):
    """How a process does, from good to bad."""

    OK = "ok"
    DEGRADED = "degraded"
    """Something is waited for, or amiss."""
    FAILED = "failed"
    """Every connector has given up."""


class WorkerStatus(TypedDict):
    """A worker, as the process sees it that started it."""

    worker: int
    up: bool
    pid: int | None
    restarts: int
    symbols: dict[str, int]
    """How many symbols of each connector it carries."""


class NoSink(TypedDict):
    """In the place of a sink's status, where no worker said one."""

    reachable: None


class ProcessStatus(FeedFigures):
    """The whole state."""

    status: Health
    ready: bool
    waiting_for: list[str]
    """What keeps it from being ready."""
    degraded_by: list[str]
    """What else is amiss."""
    version: str
    workers: NotRequired[list[WorkerStatus]]
    group: NotRequired[GroupStatus]
    """How a member of a group sees it."""
    sink: SpooledSinkStatus | NoSink
    source: NotRequired[SourceStatus]
    """Where records come from topics, not from connectors."""
    connectors: dict[str, ConnectorStatus]


Silence = dict[str, dict[str, int]]
"""For each ``connector/stream`` that has silent symbols: how many, by `SilenceState`."""


def process_status(runner: Runner) -> ProcessStatus:
    """The state of a runner, for people and probes."""
    sink = runner.sink_status()
    connectors = {connector.plan.name: connector.status() for connector in runner.connectors}
    waiting = [] if sink["reachable"] else [f"sink {runner.sink.name}"]
    degraded: list[str] = []
    for connector in runner.connectors:
        name = connector.plan.name
        waiting += [f"{name}: {connector.trouble}"] if connector.trouble else []
        sockets = connectors[name]["sockets"]
        waiting += [f"{name}/{one['socket']}" for one in sockets if one["state"] != ConnectionState.LIVE]
        if not sockets:
            waiting.append(f"{name}: it has no connection yet")
        waiting += _silent(connector)
        waiting += [f"{name}/{one.text}" for one in connector.findings if one.stops]
        degraded += [f"{name}: {one.text}" for one in connector.findings if not one.stops]
        degraded += _unheard(connector, connectors[name])
    feed = feed_figures(runner, connectors.values())
    degraded += beyond_limits(feed, runner.limits, any(one.candle_streams for one in runner.connectors))
    group = runner.group() if runner.group is not None else None
    if group is not None:
        waiting += _waits(group)
        degraded += _of_group(group)
    failed = [one["state"] == ConnectionState.FAILED for one in connectors.values()]
    found = cast(ProcessStatus, {  # a TypedDict cannot say that the figures bring none of its optional members
        "status": _health(bool(failed) and all(failed), waiting + degraded),
        "ready": not waiting,
        "waiting_for": waiting,
        "degraded_by": degraded,
        "version": __version__,
        **feed,
        **({} if group is None else {"group": group}),
        "sink": sink,
        "connectors": connectors,
    })
    return SECRETS.hide(found)


def _of_group(group: GroupStatus) -> list[str]:
    """What is amiss with a group that a member hears."""
    name, found = f"group {group['name']}", []
    if group["without_owner"]:
        found.append(f"{name}: {len(group['without_owner'])} slots without an owner")
    if group["not_carried"]:
        found.append(f"{name}: {len(group['not_carried'])} slots whose symbols nobody has subscribed")
    if group["other_symbols"]:
        found.append(f"{name}: other symbols are named by {', '.join(group['other_symbols'])}")
    return found


def silent_symbols(runner: Runner) -> Silence:
    """The silent symbols of a runner."""
    found = {
        f"{connector.plan.name}/{stream}": connector.silence.causes(stream)
        for connector in runner.connectors
        for stream in connector.stream_names
    }
    return {name: causes for name, causes in found.items() if causes}


DriftReport = dict[str, list[dict[str, Any]]]
"""By connector the changes of its venue's messages, each as `Drift.as_dict` gives it."""


def drift_report(runner: Runner) -> DriftReport:
    """The changes that a runner has found."""
    found = {
        connector.plan.name: [one.as_dict() for one in connector.drift.detector.findings]
        for connector in runner.connectors if connector.drift is not None
    }
    return SECRETS.hide(found)


def merge_drift(found: Sequence[DriftReport]) -> DriftReport:
    """The changes that several workers have found: what several saw is said once."""
    merged: DriftReport = {}
    for report in found:
        for name, changes in report.items():
            known = merged.setdefault(name, [])
            keys = {(one["stream"], one["change"], one["path"], one["after"]) for one in known}
            known += [one for one in changes
                      if (one["stream"], one["change"], one["path"], one["after"]) not in keys]
    return merged


AnomalyReport = dict[str, list[dict[str, Any]]]
"""By connector the latest anomalies, as their records are, the oldest first."""


def anomaly_report(runner: Runner) -> AnomalyReport:
    """What a runner has marked last."""
    found = {
        connector.plan.name: list(connector.anomalies.latest)
        for connector in runner.connectors if connector.anomalies is not None
    }
    return SECRETS.hide(found)


def merge_anomalies(found: Sequence[AnomalyReport]) -> AnomalyReport:
    """What several workers have marked last."""
    merged: AnomalyReport = {}
    for report in found:
        for name, marked in report.items():
            merged[name] = sorted(merged.get(name, []) + marked, key=lambda one: one["ingestion_timestamp"])[-SHOWN:]
    return merged


def merge_silence(found: Sequence[Silence]) -> Silence:
    """The silent symbols of several workers."""
    merged: Silence = each_by_name(each_by_name(total))(found)
    return merged


def merge_processes(
    statuses: Mapping[int, ProcessStatus | None], workers: Sequence[WorkerStatus], each: str = "worker"
) -> ProcessStatus:
    """The state of several workers as one. ``statuses``: what each says by its index, None where it does not answer;
    ``workers``: how they look from outside. ``each``: what they are called, where they are no processes.
    """
    said = {index: one for index, one in statuses.items() if one is not None}
    waiting = [f"{each} {index}" for index in statuses if index not in said]
    waiting += [f"{each} {index}: {text}" for index, one in said.items() for text in one["waiting_for"]]
    degraded = [f"{each} {index}: {text}" for index, one in said.items() for text in one["degraded_by"]]
    failed = bool(said) and len(said) == len(statuses) and all(one["status"] == Health.FAILED for one in said.values())
    sinks: list[SpooledSinkStatus] = [one["sink"] for one in said.values() if one["sink"]["reachable"] is not None]
    names = dict.fromkeys(name for one in said.values() for name in one["connectors"])
    return cast(ProcessStatus, {
        "status": _health(failed, waiting + degraded),
        "ready": not waiting,
        "waiting_for": waiting,
        "degraded_by": degraded,
        "version": __version__,
        **merge_feeds(list(said.values())),
        **({"workers": list(workers)} if each == "worker" else {}),
        "sink": merge_sinks(sinks) if sinks else {"reachable": None},
        "connectors": {
            name: merge_connectors({at: one["connectors"][name] for at, one in said.items()
                                    if name in one["connectors"]})
            for name in names
        },
    })


def slots_as_one(statuses: Mapping[int, ProcessStatus], group: GroupStatus) -> ProcessStatus:
    """The state of a member of a group whose slots have a runner each: what each says, by its slot."""
    found = merge_processes(statuses, (), "slot")
    waiting = [*_waits(group), *found["waiting_for"]]
    degraded = [*found["degraded_by"], *_of_group(group)]
    status = _health(found["status"] == Health.FAILED, waiting + degraded)
    whole: ProcessStatus = {
        **found, "status": status, "ready": not waiting, "waiting_for": waiting, "degraded_by": degraded,
        "group": group, "memory_mb": memory_mb(),
    }
    return SECRETS.hide(whole)


def _waits(group: GroupStatus) -> list[str]:
    return [] if group["joined"] else [f"group {group['name']}: no slots are given yet"]


def _health(failed: bool, waiting: Sequence[str]) -> Health:
    if failed:
        return Health.FAILED
    return Health.DEGRADED if waiting else Health.OK


def _silent(connector: Connector) -> list[str]:
    """The streams of which not one symbol speaks, with the cause. One silent symbol among others stops nobody, and
    that the connections are gone is said elsewhere.
    """
    worst = {stream: connector.silence.worst_state(stream) for stream in connector.stream_names}
    return [
        f"{connector.plan.name}/{name}: {state.reason}"
        for name, state in worst.items()
        if state is not None and state != SilenceState.DEAD
    ]


def _unheard(connector: Connector, status: ConnectorStatus) -> list[str]:
    """What of a connector is subscribed in vain: symbols that the venue refused or never acknowledged, and a connector
    of which nothing came yet.
    """
    name = connector.plan.name
    found = []
    for stream in connector.stream_names:
        for state, number in connector.silence.causes(stream).items():
            if state in (SilenceState.REFUSED, SilenceState.UNACKNOWLEDGED):
                found.append(f"{name}/{stream}: {number} of its symbols {REASONS[SilenceState(state)]}")
    if not status["items"] and status["sockets"]:
        found.append(f"{name}: no data yet")
    return found
