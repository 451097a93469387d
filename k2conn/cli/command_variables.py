"""Which environment variables each command reads: whole names, and rooms (see `k2conn.variable_definitions`) by what
their names begin with. A test runs the commands and looks at what they ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from k2conn.variable_definitions import ALLOWED, FOR_ALL, PROCESS_VARIABLES, PROXY_VARIABLES, ROOMS

CONNECTOR = "K2_<CONNECTOR>_"
"""What the settings of one connector begin with."""
_FILES = (ALLOWED,)
_LOG = ("K2_LOG_LEVEL", "K2_LOG_FORMAT")
_PORT = ("K2_METRICS_HOST", "K2_METRICS_PORT")
_KAFKA = ("K2_KAFKA_", "K2_STATE")
_SINKS = ("K2_SINK", "K2_SINK_", *_KAFKA, "K2_POSTGRES_", "K2_QUESTDB_", "K2_LAKE_", "K2_SPOOL")
_CONSUMER = ("K2_KAFKA_CONSUMER_",)
_LIVE = (CONNECTOR, *PROXY_VARIABLES)
_MADE = (
    "K2_CANDLES", "K2_CANDLES_DELAY", "K2_CANDLES_LATENESS", "K2_CANDLES_EMPTY", "K2_FEATURES", "K2_FEATURES_WINDOW",
    "K2_FEATURES_WARM_UP", "K2_ANOMALIES", "K2_ANOMALY_THRESHOLDS", "K2_AUDIT", "K2_BACKFILL", "K2_BAD_DATA_SHARE",
    "K2_DRIFT",
)
_DEGRADED = ("K2_DEGRADED_ERRORS_24H", "K2_DEGRADED_MEMORY_MB", "K2_DEGRADED_CANDLE_AGE")
_CONSOLE = ("K2_CONSOLE", "K2_CONSOLE_TOKEN", "K2_CONSOLE_HOSTS", "K2_TAP_TOKEN")
_GROUP = ("K2_GROUP_INSTANCE_ID", "K2_GROUP_SLOTS", "K2_GROUP_SHARE_LIMITS", "K2_GROUP_SESSION")
_START = (
    "K2_CONNECTORS", "K2_PROGRESS", *_CONSOLE, *_FILES, *_MADE, "K2_STATE_FOLDER", "K2_RECORD_", "K2_LOG_FORMAT",
    *_PORT, *_DEGRADED,
)
_RUN = ("K2_RECORD_FOLDER", *_SINKS, *_LIVE)

READ: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "run": (*_START, "K2_LOG_LEVEL", "K2_WORKERS", "K2_GROUP", *_GROUP, *_RUN, *_CONSUMER),
    "record": (*_START, "K2_LOG_LEVEL", *_LIVE),
    "probe": (*_FILES, *_LIVE),
    "replay": (*_FILES, *_LOG, *_SINKS),
    "doctor": (*_START, *_RUN),
    "group": (*_GROUP, *_KAFKA),
    "status": (*_PORT, *PROXY_VARIABLES),
    "certify": (*_FILES, *_SINKS),
    "demo": (*_FILES, *_KAFKA),
    "mock": _FILES,
    "tap": (*_FILES, "K2_TAP_TOKEN"),
    "top": (*_PORT, *PROXY_VARIABLES),
    "anomalies": (*_FILES, "K2_ANOMALIES", "K2_ANOMALY_THRESHOLDS", CONNECTOR),
    "drift": _FILES,
    "dlq": (*_FILES, "K2_STATE_FOLDER", *_LOG, *_SINKS, *_CONSUMER),
    "validate": _FILES,
    "map": _FILES,
    "test": _FILES,
    "explain": _FILES,
    "plan": _FILES,
    "symbols": (*_FILES, *_LIVE),
    "docs": _FILES,
    "list": _FILES,
    "audit": _FILES,
    "candles": (*_CONSOLE, "K2_FEATURES_WINDOW", "K2_FEATURES_WARM_UP", "K2_LOG_FORMAT", *_SINKS, *_CONSUMER),
    "load": (*_FILES, "K2_STATE_FOLDER", *_LOG, *_SINKS),
    "serve": ("K2_API_", *_LOG, "K2_SINK_", *_KAFKA, "K2_POSTGRES_", "K2_LAKE_"),
    "query": ("K2_LAKE_",),
    "lake": ("K2_LAKE_",),
    "db": ("K2_POSTGRES_",),
})
"""By command; those that are not here read what all read."""


def room_of(name: str) -> str:
    """What the name begins with, as `READ` may have it: the longest of `ROOMS`; empty where it stands alone."""
    if name in PROCESS_VARIABLES:
        return ""
    return max((room for room in ROOMS if name.startswith(room)), key=len, default="")


def commands_of(name: str) -> tuple[str, ...]:
    """The commands that read a variable; none: all do."""
    if name in FOR_ALL:
        return ()
    room = CONNECTOR if name.startswith(CONNECTOR) else room_of(name)
    return tuple(command for command, read in READ.items() if (room or name) in read)


def help_rows(command: str | None) -> Iterator[tuple[str, str]]:
    """Names and what they are for, as the help of a command (None: of the program) shows them."""
    for name in READ.get(command or "", ()):
        if name in PROCESS_VARIABLES:
            yield name, PROCESS_VARIABLES[name].meaning
        elif name in PROXY_VARIABLES:
            yield name, PROXY_VARIABLES[name].meaning
        elif name == CONNECTOR:
            yield f"{name}*", "Settings of one connector: k2conn env connector"
        else:
            yield f"{name}*", f"{ROOMS[name][:1].upper()}{ROOMS[name][1:]}: k2conn env {name.rstrip('_')}"
    for name in FOR_ALL:
        yield name, PROCESS_VARIABLES[name].meaning
