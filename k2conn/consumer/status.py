"""What a consumer says of itself, for /health and for the summary."""

from __future__ import annotations

from typing import TypedDict

from k2conn.consumer.accounts import TopicFigures
from k2conn.sinks import SinkStatus


class PartitionStatus(TypedDict):
    """One partition that this process has."""

    position: int
    """The offset of the next record that is not durable in the sink."""
    committed: int
    end: int
    lag: int
    seconds_behind: float | None
    """How old the latest record is that was written; null where nothing is behind, or nothing was written yet."""
    in_flight: int
    waiting_for: str | None


class TopicStatus(TopicFigures):
    """One topic."""

    lag: int
    partitions: dict[str, PartitionStatus]


class SourceStatus(TypedDict):
    """The whole of it."""

    kind: str
    where: str
    group: str
    pattern: str
    assigned: int
    """Partitions that this process has."""
    lag: int
    accounts: str
    """The equation of all topics."""
    balanced: bool
    expired: int
    amendments: int
    """Corrections of trades, and what takes them back, that a stage leaves out."""
    dead_letter_reasons: dict[str, int]
    errors: int
    last_error: str | None
    topics: dict[str, TopicStatus]


class ConsumptionReport(TypedDict):
    """The final figures."""

    seconds: float
    records: int
    sink: SinkStatus
    source: SourceStatus
