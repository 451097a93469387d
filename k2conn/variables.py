"""Environment variables by name: which are k2conn's own settings, and which a connector file may read.

A file comes from a stranger and what it reads goes out to a host that it names. So it reads variables with its own
prefix, `K2_<CONNECTOR>_...`, and beyond that what the operator allows by name; settings of the process never.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

ALLOWED = "K2_ALLOW_ENV"
"""Names further variables that connector files may read."""

PROCESS_VARIABLES = (
    ALLOWED, "K2_AUDIT", "K2_BACKFILL", "K2_CANDLES", "K2_CANDLES_DELAY", "K2_CANDLES_EMPTY", "K2_CANDLES_LATENESS",
    "K2_CONNECTORS", "K2_DEGRADED_CANDLE_AGE", "K2_DEGRADED_ERRORS_24H", "K2_DEGRADED_MEMORY_MB", "K2_DRIFT",
    "K2_FEATURES", "K2_FEATURES_WARM_UP", "K2_FEATURES_WINDOW", "K2_LOG_FORMAT", "K2_LOG_LEVEL", "K2_METRICS_HOST",
    "K2_METRICS_PORT", "K2_RECORD_FILE_BYTES", "K2_RECORD_FILE_SECONDS", "K2_RECORD_FOLDER", "K2_RECORD_MAX_BYTES",
    "K2_SCHEMAS", "K2_SINK", "K2_STATE_FOLDER", "K2_TAP_TOKEN", "K2_WORKERS",
)
"""Settings that are neither a sink's, nor the spool's, nor a connector's."""

CONNECTOR_VARIABLES = (
    "ENABLED", "SYMBOLS", "STREAMS", "INTERVALS", "WEBSOCKET_URL", "FAILOVER_URLS", "HTTP_URL", "ALLOW_INSECURE",
    "ALLOW_EXEC", "ALLOW_PRIVATE_HOSTS", "SSL_VERIFY",
    "CUSTOM_CA_BUNDLE", "RECONNECT_DELAY", "MAX_RECONNECT_ATTEMPTS", "HEALTH_CHECK_TIMEOUT",
    "CONNECTION_MAX_LIFETIME_HOURS", "PING_INTERVAL_SECONDS", "PING_TIMEOUT_SECONDS", "BACKFILL",
    "AUDIT", "BAD_DATA_SHARE", "CANDLES", "DRIFT", "FEATURES", "REPLICAS",
    "BREAKER_FAILURES", "BREAKER_OPEN_SECONDS", "BREAKER_SUCCESSES", "REMEMBERED_IDS", "MAX_SYMBOLS", "PROXY",
    "KEEP_OPEN",
)
"""What follows `K2_<CONNECTOR>_` in the settings of a connector."""

_OWN_ROOMS = (
    "K2CONN_", "K2_API_", "K2_KAFKA_", "K2_LAKE_", "K2_POSTGRES_", "K2_QUESTDB_", "K2_SINK_", "K2_SPOOL",
)
"""All that begins so is the process's own, whatever there may be one day: the sinks' settings, above all."""
_OTHERS = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "K2_DECIMALS", "K2_WORKER", "NO_PROXY", "SOCKS_PROXY")
"""What the process reads besides; a proxy's address may hold a password."""
_CONNECTOR_ENDS = tuple(f"_{suffix}{end}" for suffix in CONNECTOR_VARIABLES for end in ("", "_FILE"))
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


def prefix_of(name: str) -> str:
    """What the variables of a connector, an exchange or a sink begin with: ``example-v1`` has ``K2_EXAMPLE_V1_``."""
    return "K2_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper()) + "_"


def is_name(text: str) -> bool:
    """Whether a text can be a variable's name in a connector file: capitals, digits and _."""
    return _NAME.fullmatch(text) is not None


def is_setting(name: str) -> bool:
    """Whether a variable is, or by its prefix could be, a setting of the process."""
    return name in PROCESS_VARIABLES or name in _OTHERS or name.startswith(_OWN_ROOMS)


@dataclass(frozen=True, slots=True)
class Readable:
    """What connector files may read of the environment. Values are no matter here, only names."""

    allowed: Collection[str] = ()
    """Names that the operator allows beside a connector's own."""

    def refusal(self, name: str, connector: str) -> str:
        """Why a connector's file may not read a variable, and the way out; nothing where it may."""
        own = prefix_of(connector)
        if is_setting(name):
            return f"$env.{name} is a setting of k2conn itself, which no file may read: take another name"
        if name.startswith("K2_") and name.endswith(_CONNECTOR_ENDS):
            return f"$env.{name} is a setting of a connector, which no file may read: take another name"
        if name.startswith(own) or name in self.allowed:
            return ""
        rest = name.removeprefix("K2_").removeprefix(own.removeprefix("K2_"))
        return (f"a file reads variables of its own only: name it $env.{own}{rest}, or allow it with"
                f" --allow-env {name} ({ALLOWED}={name})")
