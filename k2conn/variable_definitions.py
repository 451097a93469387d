"""What each environment variable is for. Those of sinks, the spool, recordings, the consumer and the API are defined
beside their settings, each a `Variable`; all others are here. `k2conn env`, every `--help` and docs/environment.md are
made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Variable(tuple[str, str]):
    """The field of a settings class that a variable sets and how its text is read (see `settings.values`), with one
    line for people. Whoever reads settings unpacks the two.
    """

    meaning: str

    def __new__(cls, setting: str, kind: str, meaning: str) -> Variable:
        """For example ``Variable("linger_ms", "ms", "How long a record waits for others.")``."""
        found = super().__new__(cls, (setting, kind))
        found.meaning = meaning
        return found


@dataclass(frozen=True, slots=True)
class Definition:
    """A variable that no settings class has as a field."""

    meaning: str
    default: str = ""
    """What holds where it is not set; empty: nothing."""
    secret: bool = False
    in_file: bool = False
    """Whether the variable of this name with ``_FILE`` behind it may name a file that says it."""


ALLOWED = "K2_ALLOW_ENV"
"""Names further variables that connector files may read."""

PROCESS_VARIABLES: Mapping[str, Definition] = MappingProxyType({
    ALLOWED: Definition("Further variables that connector files may read, comma-separated."),
    "K2_ANOMALIES": Definition("Odd records: off, watch, or publish to a topic.", "watch", in_file=True),
    "K2_ANOMALY_THRESHOLDS": Definition("From when on something is odd: NAME=VALUE,...", in_file=True),
    "K2_AUDIT": Definition("Compare trades with the venue's candles.", "false", in_file=True),
    "K2_BACKFILL": Definition("Fetch what is missing over HTTP, where a file says how.", "true", in_file=True),
    "K2_BAD_DATA_SHARE": Definition("The share of bad records above which a minute is degraded.", "0.05", in_file=True),
    "K2_CANDLES": Definition("Intervals of candles that are made of trades, such as 1m,1h.", "none", in_file=True),
    "K2_CANDLES_DELAY": Definition("How long after its end a candle is over.", "2s", in_file=True),
    "K2_CANDLES_EMPTY": Definition("Spans without trades: skip, or repeat the last price.", "skip", in_file=True),
    "K2_CANDLES_LATENESS": Definition("How long after that trades still correct it.", "5m", in_file=True),
    "K2_CONNECTORS": Definition("What runs where no connector is named, comma-separated."),
    "K2_CONSOLE": Definition("The web console at the port of /health.", "true", in_file=True),
    "K2_CONSOLE_HOSTS": Definition("Host names, beside this machine's own, by which it may be asked.", in_file=True),
    "K2_CONSOLE_TOKEN": Definition("What its visitors must show; needed where others can reach the port.",
                                   "K2_TAP_TOKEN", secret=True, in_file=True),
    "K2_DEGRADED_CANDLE_AGE": Definition("Degraded where the last candle is older.", in_file=True),
    "K2_DEGRADED_ERRORS_24H": Definition("Degraded where there were more errors in a day.", in_file=True),
    "K2_DEGRADED_MEMORY_MB": Definition("Degraded where the process takes more.", in_file=True),
    "K2_DRIFT": Definition("Look for changes of venues' messages.", "true", in_file=True),
    "K2_FEATURES": Definition("Intervals of the candles that features are made of.", "none", in_file=True),
    "K2_FEATURES_WARM_UP": Definition("Candles before the first features.", "half the window", in_file=True),
    "K2_FEATURES_WINDOW": Definition("Candles that features are reckoned of.", "60", in_file=True),
    "K2_GROUP": Definition("Share the symbols with the other processes of this group.", in_file=True),
    "K2_GROUP_INSTANCE_ID": Definition("The member's own name, the same over restarts.", "the host's name",
                                       in_file=True),
    "K2_GROUP_SESSION": Definition("How long a member that is not heard keeps its slots.", "10s", in_file=True),
    "K2_GROUP_SHARE_LIMITS": Definition("Members divide venues' limits: they have one address.", "true", in_file=True),
    "K2_GROUP_SLOTS": Definition("Parts that the symbols of a group fall into (1 to 4096).", "64", in_file=True),
    "K2_LOG_FORMAT": Definition("text or json.", "text; json with --daemon"),
    "K2_LOG_LEVEL": Definition("debug, info, warning or error.", "info; warning in replay and dlq"),
    "K2_METRICS_HOST": Definition("Where /metrics and /health listen, or are asked.", "127.0.0.1"),
    "K2_METRICS_PORT": Definition("Their port; 0 for any, -1 for none.", "9091; -1 in record"),
    "K2_PROGRESS": Definition("How often the log says how far a run is: 10s, 100 records, both, or off.", "10s"),
    "K2_RECORD_FOLDER": Definition("Record all frames into this folder, beside the sink.", in_file=True),
    "K2_SINK": Definition("Where records go: the name of a sink.", "kafka with its address, else file", in_file=True),
    "K2_STATE_FOLDER": Definition("Where connectors keep what the next process must know.", in_file=True),
    "K2_TAP_TOKEN": Definition("What a request for /tap must show.", secret=True, in_file=True),
    "K2_WORKERS": Definition("Processes that share the symbols, one core each (1 to 256).", "1"),
    "K2_DECIMALS": Definition("The decimals of all records: 18,8 or 38,18.", "18,8"),
    "K2_SCHEMAS": Definition("A folder with record types of your own."),
    "K2CONN_PURE_PYTHON": Definition("Anything but 0: leave the part in C aside.", "0"),
})
"""Settings that are neither a sink's, nor the spool's, nor a connector's, nor a proxy."""

FOR_ALL = ("K2_DECIMALS", "K2_SCHEMAS", "K2CONN_PURE_PYTHON")
"""Those that every command reads."""

PROXY_VARIABLES: Mapping[str, Definition] = MappingProxyType({
    "HTTPS_PROXY": Definition("The proxy for wss:// and https://; in small letters, too.", secret=True),
    "HTTP_PROXY": Definition("The proxy for ws:// and http://; in small letters, too.", secret=True),
    "ALL_PROXY": Definition("The proxy for what has none of its own.", secret=True),
    "SOCKS_PROXY": Definition("The same, where it is a SOCKS proxy.", secret=True),
    "NO_PROXY": Definition("Hosts that are reached directly, comma-separated."),
})
"""What the process reads as other programs do; a proxy's address may hold a password."""

CONNECTOR_VARIABLES: Mapping[str, Definition] = MappingProxyType({
    "ENABLED": Definition("It runs where neither arguments nor K2_CONNECTORS name any.", "false"),
    "SYMBOLS": Definition("Symbols as the venue writes them.", "the file's symbols.default"),
    "STREAMS": Definition("Streams.", "those not marked default: false"),
    "INTERVALS": Definition("Of streams that have intervals these, such as 1m,1h.", "the first in the file"),
    "WEBSOCKET_URL": Definition("Another address.", "the file's"),
    "FAILOVER_URLS": Definition("Addresses used while those before them fail.", "the file's"),
    "HTTP_URL": Definition("Another scheme and host for its HTTP calls.", "the file's"),
    "INSTRUMENT_LIST": Definition(
        "A file with the venue's instrument list (k2conn symbols --save), in place of asking the venue.", "it is asked"
    ),
    "ALLOW_INSECURE": Definition("ws:// and http:// also to other machines.", "false"),
    "ALLOW_EXEC": Definition("The command that is run where the file says exec://NAME.", "none is run"),
    "ALLOW_PRIVATE_HOSTS": Definition("Connections also to addresses that are not public.", "false"),
    "SSL_VERIFY": Definition("Check the server's certificate and name.", "true"),
    "CUSTOM_CA_BUNDLE": Definition("A PEM file of authorities.", "the system's"),
    "RECONNECT_DELAY": Definition("Seconds; the first bound of the random delay.", "the file's, else 1"),
    "MAX_RECONNECT_ATTEMPTS": Definition("Without data in between, before giving up.", "the file's, else never"),
    "HEALTH_CHECK_TIMEOUT": Definition("Seconds of silence after which a socket is dead.", "the file's, else 60"),
    "CONNECTION_MAX_LIFETIME_HOURS": Definition("1 to 24; an older socket is replaced.", "the file's lifetime"),
    "PING_INTERVAL_SECONDS": Definition("Between two WebSocket pings.", "the file's, else 20"),
    "PING_TIMEOUT_SECONDS": Definition("For their answers.", "20"),
    "BACKFILL": Definition("K2_BACKFILL for this connector.", "K2_BACKFILL"),
    "ANOMALIES": Definition("K2_ANOMALIES for this connector.", "K2_ANOMALIES"),
    "ANOMALY_THRESHOLDS": Definition("K2_ANOMALY_THRESHOLDS for this connector.", "K2_ANOMALY_THRESHOLDS"),
    "AUDIT": Definition("K2_AUDIT for this connector.", "K2_AUDIT"),
    "BAD_DATA_SHARE": Definition("K2_BAD_DATA_SHARE for this connector.", "K2_BAD_DATA_SHARE"),
    "CANDLES": Definition("K2_CANDLES for this connector.", "K2_CANDLES"),
    "DRIFT": Definition("K2_DRIFT for this connector.", "K2_DRIFT"),
    "FEATURES": Definition("K2_FEATURES for this connector.", "K2_FEATURES"),
    "REPLICAS": Definition("1 to 8 sockets with the same subscriptions.", "the file's, else 1"),
    "BREAKER_FAILURES": Definition("Sockets without data after which an address is out of order.", "3"),
    "BREAKER_OPEN_SECONDS": Definition("For how long it is not tried then.", "30"),
    "BREAKER_SUCCESSES": Definition("Successes after which it is in order again.", "2"),
    "REMEMBERED_IDS": Definition("The least number of ids by which a stream knows a repeat.", "16000"),
    "MAX_SYMBOLS": Definition("Accounts, one for each symbol of each stream.", "20000"),
    "PROXY": Definition("The proxy for all of its addresses, or direct.", "the environment's", secret=True),
    "KEEP_OPEN": Definition("Publish candles that still grow, too.", "the file's open, else false"),
})
"""What follows `K2_<CONNECTOR>_` in the settings of a connector; each may be said by a file."""

ROOMS: Mapping[str, str] = MappingProxyType({
    "K2_KAFKA_": "Kafka and its schema registry",
    "K2_KAFKA_CONSUMER_": "Kafka as a source (--from kafka)",
    "K2_STATE": "where the state is kept, a folder or Kafka",
    "K2_POSTGRES_": "the postgres sink",
    "K2_QUESTDB_": "the questdb sink",
    "K2_LAKE_": "the iceberg sink, its catalog and its store",
    "K2_SINK_": "the file sink, and sinks of installed packages",
    "K2_SPOOL": "the spool on disk before a sink that is away",
    "K2_RECORD_": "the size and age of recordings",
    "K2_API_": "k2conn serve",
    "K2CONN_": "how k2conn itself is run",
})
"""What the process's own variables begin with, whatever there may be one day."""
