"""What dashboards of candle feeders ask /health for: figures of the whole process, each null where nobody can know it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypedDict

from k2conn.clock import monotonic, wall_us
from k2conn.consumer.consumption import Consumption
from k2conn.engine.accounting.rolling_errors import ErrorKind
from k2conn.merging import all_true, each_by_name, in_shape, largest, merged, total
from k2conn.runner import Connector, Runner
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.health_limits import HealthLimits
from k2conn.runner.status import ConnectorStatus

_MIB = 1024 * 1024
_MEMORY = "/proc/self/statm"


def _earliest(values: Sequence[str]) -> str:
    """Of times as `_text` writes them."""
    return min(values)


def _latest(values: Sequence[str]) -> str:
    """Of times as `_text` writes them."""
    return max(values)


class FeedDetails(TypedDict):
    """More of the same."""

    buffer_size: Annotated[int | None, total]
    """Records that wait in the sink, or in the spool before it."""
    db_pool_size: Annotated[int | None, total]
    """Null: there is no pool, each table has a connection of its own."""
    features_warmed_up: Annotated[bool | None, all_true]
    """Whether every symbol has a whole window; null where no features are made."""
    gap_check_last: Annotated[str | None, _earliest]
    """When gaps were last looked for, of all connectors."""
    errors_by_kind: Annotated[dict[str, int] | None, each_by_name(total)]
    """`errors_24h` by `k2conn.engine.accounting.rolling_errors.ErrorKind`."""


class FeedFigures(TypedDict):
    """Figures of a process. Counts are of its life, times are ISO 8601 in UTC."""

    uptime_seconds: Annotated[float | None, largest]
    timestamp: Annotated[str | None, _latest]
    """Now."""
    candles_processed: Annotated[int | None, total]
    """Candle records that were handed to the sink."""
    candles_in_db: Annotated[int | None, total]
    """Those of them that are durable in the database; null where the sink is none."""
    last_candle_time: Annotated[str | None, _latest]
    """The venue's time of the latest of them."""
    database_connected: Annotated[bool | None, all_true]
    """Null where the sink is no database."""
    websocket_connected: Annotated[bool | None, all_true]
    """Whether every connection is subscribed; null where there is none to be."""
    pending_backfills: Annotated[int | None, total]
    """Gaps that wait to be filled."""
    errors_24h: Annotated[int | None, total]
    memory_mb: Annotated[float | None, total]
    """Resident; null where the system does not tell."""
    details: Annotated[FeedDetails, in_shape(FeedDetails)]


NOTHING: FeedFigures = {
    "uptime_seconds": None, "timestamp": None, "candles_processed": None, "candles_in_db": None,
    "last_candle_time": None, "database_connected": None, "websocket_connected": None, "pending_backfills": None,
    "errors_24h": None, "memory_mb": None,
    "details": {"buffer_size": None, "db_pool_size": None, "features_warmed_up": None, "gap_check_last": None,
                "errors_by_kind": None},
}
"""Where nobody says anything."""


def feed_figures(runner: Runner, connectors: Iterable[ConnectorStatus]) -> FeedFigures:
    """Those of a runner, whose connectors say this."""
    sink, errors = runner.sink_status(), runner.errors.recent()
    processed, durable, latest_us = _candles(runner.connectors)
    sockets = [one["state"] for connector in connectors for one in connector["sockets"]]
    looks = [one.looked_us for one in runner.connectors]
    warmed = [one.features.maker.warmed_up for one in runner.connectors if one.features is not None]
    return {
        "uptime_seconds": round(monotonic() - runner.started, 1),
        "timestamp": _text(wall_us()),
        "candles_processed": processed,
        "candles_in_db": durable if runner.database else None,
        "last_candle_time": _text(latest_us) if latest_us else None,
        "database_connected": sink["reachable"] if runner.database else None,
        "websocket_connected": bool(sockets) and all(one == ConnectionState.LIVE for one in sockets),
        "pending_backfills": sum(one.backfill_worker.waiting for one in runner.connectors),
        "errors_24h": sum(errors.values()),
        "memory_mb": memory_mb(),
        "details": {
            "buffer_size": sink["queued"],
            "db_pool_size": None,
            "features_warmed_up": all(warmed) if warmed else None,
            "gap_check_last": _text(min(looks)) if looks and all(looks) else None,
            "errors_by_kind": _by_name(errors),
        },
    }


def consumption_figures(consumption: Consumption) -> FeedFigures:
    """Those of a consumption: it knows topics and partitions, not which of its records are candles."""
    sink, errors = consumption.sink_status(), consumption.errors.recent()
    return {
        **NOTHING,
        "uptime_seconds": round(monotonic() - consumption.started, 1),
        "timestamp": _text(wall_us()),
        "database_connected": sink["reachable"] if consumption.database else None,
        "errors_24h": sum(errors.values()),
        "memory_mb": memory_mb(),
        "details": {**NOTHING["details"], "buffer_size": sink["queued"], "errors_by_kind": _by_name(errors)},
    }


def merge_feeds(said: Sequence[FeedFigures]) -> FeedFigures:
    """Those of several workers as one."""
    names = NOTHING.keys()
    return merged(FeedFigures, [{name: value for name, value in one.items() if name in names} for one in said] or
                  [NOTHING])


def beyond_limits(found: FeedFigures, limits: HealthLimits, feeds: bool) -> Iterator[str]:
    """What is more than the operator wants, for people. ``feeds``: whether streams of candles run."""
    errors, memory = found["errors_24h"] or 0, found["memory_mb"] or 0
    if limits.errors is not None and errors > limits.errors:
        yield f"{errors} errors in 24 hours, more than {limits.errors}"
    if limits.memory_mb is not None and memory > limits.memory_mb:
        yield f"{memory:.0f} MB of memory, more than {limits.memory_mb}"
    if limits.candle_age is not None and feeds:
        last = found["last_candle_time"]
        age = wall_us() / 1_000_000 - datetime.fromisoformat(last).timestamp() if last else found["uptime_seconds"] or 0
        if age > limits.candle_age:
            yield f"no candle for {age:.0f} s" if last else "no candle yet"


def memory_mb() -> float | None:
    """What this process has in memory now, in MiB; None where the system does not tell."""
    try:
        with open(_MEMORY, encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / _MIB, 1)


def _candles(connectors: Iterable[Connector]) -> tuple[int, int, int]:
    """Handed to the sink, durable there, and the venue's time of the latest (microseconds, 0 where there is none)."""
    processed = durable = latest_us = 0
    for connector in connectors:
        ledger = connector.connector_state.ledger
        for stream in connector.candle_streams:
            figures = ledger.totals(stream)
            processed += figures["published"] + figures["in_flight"] + figures["lost"]
            durable += figures["published"]
            latest_us = max(latest_us, ledger.times(stream, 0)["last_event_us"])
    return processed, durable, latest_us


def _by_name(errors: Mapping[ErrorKind, int]) -> dict[str, int]:
    return {str(kind): count for kind, count in errors.items()}


def _text(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()
