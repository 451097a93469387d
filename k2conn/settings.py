"""Settings by precedence: flag, environment (`K2_*`), default. Everything named here is really read.

Contradictions are refused at start, all at once, with the names of the variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2conn import exactjson
from k2conn.errors import SettingsError
from k2conn.loopback import is_loopback
from k2conn.runner import Overrides
from k2conn.sinks.settings import KafkaSettings, SinkSettings, SpoolSettings

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

KAFKA_VARIABLES = {
    "K2_KAFKA_BOOTSTRAP_SERVERS": ("bootstrap", "text"),
    "K2_KAFKA_SCHEMA_REGISTRY_URL": ("registry_url", "text"),
    "K2_KAFKA_ACKS": ("acks", "text"),
    "K2_KAFKA_IDEMPOTENCE_ENABLED": ("idempotent", "bool"),
    "K2_KAFKA_COMPRESSION_TYPE": ("compression", "text"),
    "K2_KAFKA_LINGER_MS": ("linger_ms", "int"),
    "K2_KAFKA_BATCH_SIZE": ("batch_bytes", "int"),
    "K2_KAFKA_MAX_REQUEST_SIZE": ("max_request_bytes", "int"),
    "K2_KAFKA_REQUEST_TIMEOUT_MS": ("request_timeout_ms", "int"),
    "K2_KAFKA_DELIVERY_TIMEOUT_MS": ("delivery_timeout_ms", "int"),
    "K2_KAFKA_CLIENT_ID": ("client_id", "text"),
    "K2_KAFKA_SUBJECT": ("subject", "text"),
    "K2_KAFKA_TOPIC_PREFIX": ("topic_prefix", "text"),
    "K2_KAFKA_COMPATIBILITY": ("compatibility", "text"),
    "K2_KAFKA_CREATE_TOPICS": ("create_topics", "bool"),
    "K2_KAFKA_PARTITIONS": ("partitions", "int"),
    "K2_KAFKA_REPLICATION_FACTOR": ("replication", "int"),
    "K2_KAFKA_SECURITY_PROTOCOL": ("security_protocol", "text"),
    "K2_KAFKA_SASL_MECHANISM": ("sasl_mechanism", "text"),
    "K2_KAFKA_SASL_USERNAME": ("username", "text"),
    "K2_KAFKA_SASL_PASSWORD": ("password", "secret"),
    "K2_KAFKA_SSL_CA_FILE": ("ca_file", "path"),
    "K2_KAFKA_SSL_CERT_FILE": ("cert_file", "path"),
    "K2_KAFKA_SSL_KEY_FILE": ("key_file", "path"),
    "K2_KAFKA_SCHEMA_REGISTRY_USERNAME": ("registry_username", "text"),
    "K2_KAFKA_SCHEMA_REGISTRY_PASSWORD": ("registry_password", "secret"),
}
"""Environment variable -> (KafkaSettings field, kind). A secret may also be read from the file in NAME_FILE."""

SPOOL_VARIABLES = {
    "K2_SPOOL": ("mode", "text"),
    "K2_SPOOL_FOLDER": ("folder", "path"),
    "K2_SPOOL_MAX_BYTES": ("max_bytes", "int"),
    "K2_SPOOL_FSYNC_MS": ("fsync_ms", "int"),
    "K2_SPOOL_PATIENCE_MS": ("patience_ms", "int"),
}
"""Environment variable -> (SpoolSettings field, kind)."""

CONNECTOR_VARIABLES = (
    "ENABLED", "SYMBOLS", "STREAMS", "WEBSOCKET_URL", "FAILOVER_URLS", "HTTP_URL", "ALLOW_INSECURE", "SSL_VERIFY",
    "CUSTOM_CA_BUNDLE", "RECONNECT_DELAY", "MAX_RECONNECT_ATTEMPTS", "HEALTH_CHECK_TIMEOUT",
    "CONNECTION_MAX_LIFETIME_HOURS", "PING_INTERVAL_SECONDS", "PING_TIMEOUT_SECONDS", "BACKFILL", "REPLICAS",
    "BREAKER_FAILURES", "BREAKER_OPEN_SECONDS", "BREAKER_SUCCESSES", "REMEMBERED_IDS",
)
"""What follows `K2_<CONNECTOR>_`."""


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """What the environment says of one connector; None: nothing."""

    enabled: bool | None = None
    symbols: tuple[str, ...] | None = None
    streams: tuple[str, ...] | None = None
    overrides: Overrides = field(default_factory=Overrides)


class Environment:
    """The environment, read with named errors."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def get(self, name: str, kind: str = "text") -> Any:
        """The value of a variable in its kind; None where it is not set or empty."""
        text = self._variables.get(name, "").strip()
        if kind == "secret" and not text:
            return self._secret_file(f"{name}_FILE")
        if not text:
            return None
        try:
            return _KINDS[kind](text)
        except ValueError as error:
            shown = "" if kind == "secret" else f" '{text}'"
            self.problems.append(f"{name}{shown}: {error}")
            return None

    def _secret_file(self, name: str) -> str | None:
        file = self._variables.get(name, "").strip()
        if not file:
            return None
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            self.problems.append(f"{name}: {error.strerror}")
            return None

    def finish(self) -> None:
        """Raises SettingsError with all problems."""
        if self.problems:
            raise SettingsError("; ".join(self.problems))


def sink_settings(environment: Mapping[str, str], **flags: Any) -> SinkSettings:
    """The sink's settings. ``flags``: kind, folder, kafka (bootstrap), registry; None where not given.

    Without a kind, a Kafka address (flag or environment) means `kafka`, else the embedded default `file`.
    """
    reader = Environment(environment)
    kafka, spool = _read(reader, KAFKA_VARIABLES), _read(reader, SPOOL_VARIABLES)
    for flag, setting in (("kafka", "bootstrap"), ("registry", "registry_url")):
        if flags.get(flag):
            kafka[setting] = flags[flag]
    kind = flags.get("kind") or reader.get("K2_SINK") or ("kafka" if "bootstrap" in kafka else "file")
    if kind != "kafka" and (flags.get("kafka") or flags.get("registry")):
        reader.problems.append(f"--kafka and --registry need the kafka sink, not {kind}")
    folder = flags.get("folder") or reader.get("K2_SINK_FOLDER", "path") or Path("data")
    reader.finish()
    return SinkSettings(
        kind=kind, folder=Path(folder), kafka=KafkaSettings(**kafka), spool=SpoolSettings(**spool)
    )


def _read(reader: Environment, variables: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The settings that these variables name, where they are set."""
    found = {setting: reader.get(name, kind) for name, (setting, kind) in variables.items()}
    return {setting: value for setting, value in found.items() if value is not None}


def connector_settings(environment: Mapping[str, str], exchange: str, name: str) -> ConnectorSettings:
    """What `K2_<EXCHANGE>_*` says; `K2_<CONNECTOR NAME>_*` comes first where both are set."""
    reader = Environment(environment)
    prefixes = dict.fromkeys((_prefix(name), _prefix(exchange)))

    def get(suffix: str, kind: str = "text") -> Any:
        return next((v for p in prefixes if (v := reader.get(f"{p}{suffix}", kind)) is not None), None)

    url, http_url = get("WEBSOCKET_URL"), get("HTTP_URL")
    failover = tuple(get("FAILOVER_URLS", "list") or ())
    insecure = get("ALLOW_INSECURE", "bool") is True
    for suffix, schemes, addresses in (
        ("WEBSOCKET_URL", ("wss", "ws"), (url,)),
        ("FAILOVER_URLS", ("wss", "ws"), failover),
        ("HTTP_URL", ("https", "http"), (http_url,)),
    ):
        wrong = [text for one in addresses if one and (text := _wrong_address(one, schemes, insecure))]
        reader.problems += [f"{_prefix(name)}{suffix}: {text}" for text in wrong]
    hours = get("CONNECTION_MAX_LIFETIME_HOURS", "hours")
    overrides = Overrides(
        urls=(url,) if url else (),
        failover=failover,
        http_url=http_url,
        verify=get("SSL_VERIFY", "bool") is not False,
        ca_file=get("CUSTOM_CA_BUNDLE", "file"),
        ping_every=get("PING_INTERVAL_SECONDS", "positive"),
        ping_timeout=get("PING_TIMEOUT_SECONDS", "positive"),
        stale_after=get("HEALTH_CHECK_TIMEOUT", "int"),
        attempts=get("MAX_RECONNECT_ATTEMPTS", "int"),
        base_delay=get("RECONNECT_DELAY", "positive"),
        max_age=hours * 3600.0 if hours else None,
        backfill=_first(get("BACKFILL", "bool"), reader.get("K2_BACKFILL", "bool"), True),
        replicas=get("REPLICAS", "replicas"),
        breaker_settings=replace(Overrides().breaker_settings, **_breaker_settings(get)),
        remembered=get("REMEMBERED_IDS", "positive"),
    )
    found = ConnectorSettings(
        enabled=get("ENABLED", "bool"),
        symbols=_tuple(get("SYMBOLS", "list")),
        streams=_tuple(get("STREAMS", "list")),
        overrides=overrides,
    )
    reader.finish()
    return found


def _breaker_settings(get: Callable[[str, str], int | None]) -> dict[str, int]:
    """When an address is out of order, and when it is no more: what is said of it."""
    given = {
        "failures": get("BREAKER_FAILURES", "positive"),
        "seconds": get("BREAKER_OPEN_SECONDS", "positive"),
        "successes": get("BREAKER_SUCCESSES", "positive"),
    }
    return {name: value for name, value in given.items() if value is not None}


def state_folder(environment: Mapping[str, str]) -> Path | None:
    """Where connectors keep what the next process must know (`K2_STATE_FOLDER`); None: nowhere."""
    reader = Environment(environment)
    found: Path | None = reader.get("K2_STATE_FOLDER", "path")
    reader.finish()
    return found


def is_enabled(environment: Mapping[str, str], name: str) -> bool:
    """Whether `K2_<CONNECTOR NAME>_ENABLED` says so."""
    reader = Environment(environment)
    found = reader.get(f"{_prefix(name)}ENABLED", "bool") is True
    reader.finish()
    return found


def unread(environment: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Variables that look like settings of Kafka or of these connectors or exchanges, but that nothing reads."""
    secrets = (f"{name}_FILE" for name, (_, kind) in KAFKA_VARIABLES.items() if kind == "secret")
    known = {*KAFKA_VARIABLES, *SPOOL_VARIABLES, *secrets}
    prefixes = tuple(dict.fromkeys(_prefix(name) for name in names))
    known |= {f"{prefix}{suffix}" for prefix in prefixes for suffix in CONNECTOR_VARIABLES}
    ours = ("K2_KAFKA_", "K2_SPOOL", *prefixes)
    return sorted(name for name in environment if name.startswith(ours) and name not in known)


def _wrong_address(text: str, schemes: tuple[str, str], insecure: bool) -> str:
    """What is wrong with an address, without repeating it (it may hold a key); nothing where it is right."""
    parts = urlsplit(text)
    secure, open_one = schemes
    if parts.scheme not in schemes or not parts.hostname:
        return f"an address starts with {secure}:// and names a host"
    if parts.scheme == open_one and not insecure and not is_loopback(parts.hostname):
        return f"{open_one}:// is for this machine only: say {secure}://, or ALLOW_INSECURE=true beside it"
    return ""


def _prefix(name: str) -> str:
    return "K2_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper()) + "_"


def _first(*values: Any) -> Any:
    """The first value that is set."""
    return next((value for value in values if value is not None), None)


def _tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return tuple(value) if value else None


def text_list(text: str) -> list[str]:
    """`A,B` or `["A","B"]`."""
    if text.startswith("["):
        try:
            found = exactjson.decode(text)
        except exactjson.JsonError as error:
            raise ValueError(f"no JSON list: {error}") from None
        if not all(isinstance(one, str) for one in found):
            raise ValueError('a JSON list of texts is needed: ["A", "B"]')
        return list(found)
    return [part.strip() for part in text.split(",") if part.strip()]


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("say true or false")


def _int(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number is needed")
    return int(text)


def _positive(text: str) -> int:
    if _int(text) < 1:
        raise ValueError("a whole number above 0 is needed")
    return int(text)


def _hours(text: str) -> int:
    if not 1 <= _int(text) <= 24:
        raise ValueError("hours from 1 to 24 are needed")
    return int(text)


def _replicas(text: str) -> int:
    if not 1 <= _int(text) <= 8:
        raise ValueError("a number of sockets from 1 to 8 is needed")
    return int(text)


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return text


_KINDS: dict[str, Any] = {
    "text": str, "secret": str, "bool": _bool, "int": _int, "positive": _positive, "hours": _hours, "list": text_list,
    "path": Path, "file": _file, "replicas": _replicas,
}
