"""What the command line of `k2conn run` and `k2conn doctor` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says; None where it says nothing. ``port`` and ``workers`` may be a variable's, and are
    texts until `k2conn.cli.startup` has read them.
    """

    connectors: Sequence[str] = ()
    symbols: str | Sequence[str] | None = None
    streams: str | None = None
    sink: str | None = None
    folder: Path | None = None
    kafka: str | None = None
    registry: str | None = None
    duration: str | None = None
    max_records: int | None = None
    summary: Path | None = None
    host: str = "127.0.0.1"
    port: int | str = 9091
    log_level: str = "info"
    daemon: bool = False
    watch: bool = False
    workers: int | str = 1
    sink_options: Sequence[str] = ()
    intervals: str | None = None
    candles: str | None = None
    audit: bool | None = None
    source: str | None = None
    """Where records come from, where that is no connector."""
    topics: Sequence[str] = ()
    group: str | None = None
    from_beginning: bool = False
    features: str | None = None
    anomalies: str | None = None
    progress: str = "10s"
    board: bool = True
    """Whether there is a board, where there is a terminal."""
    record: Path | None = None
    """Where frames are recorded; None: what K2_RECORD_FOLDER says."""
    shares: bool = False
    """Whether ``group``, or a variable, may name a group that shares the symbols."""
