"""What a runner says of its parts at a moment, as JSON: the shapes, and how those of several workers become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired, TypedDict

from k2conn.engine.accounting.figures import AccountFigures, ConnectorReport
from k2conn.engine.accounting.ledger import equation
from k2conn.engine.accounting.troubles import Trouble
from k2conn.engine.resilience.circuit_breaker import BreakerState
from k2conn.engine.resilience.replicas import ReplicaFigures
from k2conn.merging import (
    each_by_name,
    each_in_place,
    in_shape,
    largest,
    merged,
    one_after_the_other,
    side_by_side,
    total,
    worst_of,
)
from k2conn.runner.connection_state import ConnectionState
from k2conn.spool.status import SpooledSinkStatus, merge_sinks


class EndpointStatus(TypedDict):
    """One address of a venue."""

    host: Annotated[str, side_by_side]
    breaker: Annotated[BreakerState, worst_of(BreakerState)]
    opened: Annotated[int, total]
    """How often its breaker has opened."""


class ConnectionStatus(TypedDict):
    """One connection, which is made again whenever it is lost."""

    socket: str
    """Its name."""
    state: ConnectionState
    detail: str
    host: str | None
    seconds_connected: float | None
    replacing: bool
    symbols: int
    confirmed: int
    refused: int
    seconds_since_frame: float | None
    seconds_since_data: float | None
    leg: NotRequired[ReplicaFigures]
    """Where it is one of several replicas."""
    worker: NotRequired[int]
    """Whose it is, where there are workers."""


class SilentSymbol(TypedDict):
    """A symbol of which nothing comes."""

    symbol: str
    state: str
    """A `k2conn.engine.resilience.silence_detection.SilenceState`."""
    reason: str
    seconds_since_data: float | None


class SilenceStatus(TypedDict):
    """How many symbols of a stream are in which `SilenceState` (those that there are), and the worst of them."""

    states: Annotated[dict[str, int], each_by_name(total)]
    worst: Annotated[list[SilentSymbol], one_after_the_other]


class StreamStatus(AccountFigures, SilenceStatus):
    """One stream."""


class TroubleStatus(TypedDict):
    """One thing that was wrong."""

    time: str
    """ISO 8601, UTC."""
    kind: str
    """A `k2conn.engine.accounting.troubles.TroubleKind`."""
    stream: str
    reason: str
    detail: dict[str, Any]


class ConnectorStatus(AccountFigures):
    """One connector."""

    state: Annotated[ConnectionState, worst_of(ConnectionState)]
    detail: Annotated[str | None, side_by_side]
    """Why it does not run; null where it does."""
    crashes: Annotated[int, total]
    """How often a bug has ended it."""
    sockets: Annotated[list[ConnectionStatus], one_after_the_other]
    ledger: Annotated[str, side_by_side]
    """The conservation equation."""
    streams: Annotated[dict[str, StreamStatus], each_by_name(in_shape(StreamStatus))]
    endpoints: Annotated[
        dict[str, list[EndpointStatus]], each_by_name(each_in_place(in_shape(EndpointStatus)))
    ]
    """By the connection's name."""
    reconnect_causes: Annotated[dict[str, int], each_by_name(total)]
    anomalies: Annotated[dict[str, int], each_by_name(total)]
    """Odd records by kind."""
    amendments: Annotated[dict[str, int], each_by_name(total)]
    """Corrections of trades, and what takes them back, by what leaves them out (candles, audit) and did so."""
    bad_data: Annotated[list[str], one_after_the_other]
    """What was wrong with the data of the last minute."""
    troubles: Annotated[list[TroubleStatus], one_after_the_other]
    """The latest things that were wrong, the newest last."""


class RunReport(TypedDict):
    """The final figures of a run."""

    seconds: Annotated[float, largest]
    records: Annotated[int, total]
    sink: Annotated[SpooledSinkStatus | None, merge_sinks]
    connectors: Annotated[dict[str, ConnectorReport], each_by_name(in_shape(ConnectorReport))]


def trouble_status(one: Trouble) -> TroubleStatus:
    """One thing that was wrong, as JSON."""
    time = datetime.fromtimestamp(one.at_us // 1_000_000, UTC).isoformat()
    detail = {name: value for name, value in one.detail.items() if value is not None}
    return {"time": time, "kind": one.kind, "stream": one.stream, "reason": one.reason,
            "detail": detail}


def merge_connectors(statuses: Mapping[int, ConnectorStatus]) -> ConnectorStatus:
    """One connector's status, of what each worker says of its share, by the worker's index."""
    for_sum = [{**status, "sockets": _of_worker(index, status)} for index, status in statuses.items()]
    found = merged(ConnectorStatus, for_sum)
    found["ledger"] = equation(found)
    return found


def _of_worker(index: int, status: ConnectorStatus) -> list[ConnectionStatus]:
    return [{**socket, "socket": f"{index}/{socket['socket']}", "worker": index} for socket in status["sockets"]]


def merge_reports(reports: Sequence[RunReport]) -> RunReport:
    """The final figures of several workers."""
    return merged(RunReport, reports) if reports else {"seconds": 0, "records": 0, "sink": None, "connectors": {}}


class GroupMemberStatus(TypedDict):
    """A member of a group, as another one hears it."""

    instance: str
    owned: int
    carrying: int
    unsent: int
    heard_ago: float
    host: str
    version: str


class GroupStatus(TypedDict):
    """How a member sees its group."""

    name: str
    instance: str
    joined: bool
    """Whether it was ever given its slots, which may be none."""
    generation: int
    slots: int
    owned: int
    lost: int
    """Slots that it still runs, because nobody else carries them yet."""
    carrying: int
    without_owner: list[int]
    """Slots that no member owns that is heard."""
    not_carried: list[int]
    """Slots whose symbols nobody has subscribed."""
    moves: int
    """Slots that it was given or has lost since it began."""
    fenced: int
    """Slots that were at work here when another process took them over."""
    warm: int
    """Slots that are subscribed, and wait until their old owner has ended them."""
    other_symbols: list[str]
    """Members that name other symbols: whoever owns a slot runs what it knows."""
    members: list[GroupMemberStatus]
