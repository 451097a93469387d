"""Settings by precedence: flag, environment (`K2_*`), default. Everything named here is really read.

Contradictions are refused at start, all at once, with the names of the variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2conn import exactjson, transports
from k2conn.errors import SettingsError, known
from k2conn.runner import Overrides
from k2conn.runner.overrides import BAD_DATA_SHARE
from k2conn.schemes import HTTP, Secure, in_the_clear
from k2conn.sinks import SINKS, SinkKind
from k2conn.sinks.settings import SinkSettings, SpoolSettings

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

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
    "BAD_DATA_SHARE",
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
        return self.read(name, text, kind) if text else None

    def read(self, name: str, text: str, kind: str) -> Any:
        """A text in its kind; None after noting what is wrong with it, under a name."""
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


def sink_settings(
    environment: Mapping[str, str], kind: str | None = None, options: Sequence[str] = (), **flags: Any
) -> SinkSettings:
    """The sink's settings, by precedence: ``options`` (``name=value`` each) and ``flags`` (by the names that sinks
    declare; None where not given), the environment, the kind's defaults.

    Without a kind, a setting that implies one (a Kafka address) means that, else the embedded default is `file`.
    """
    reader = Environment(environment)
    kinds = {name: SINKS.get(name) for name in SINKS.built_in}
    given = {name: _read(reader, one.read_from(name)) | _flagged(one, flags) for name, one in kinds.items()}
    implied = [name for name, one in kinds.items() if one.implied_by in given[name]]
    chosen: str = kind or reader.get("K2_SINK") or (implied[0] if implied else "file")
    for name, one in kinds.items():
        if name != chosen and one.implied_by and _flagged(one, flags):
            said = " and ".join(f"--{flag}" for flag in one.flags)
            reader.problems.append(f"{said} need the {name} sink, not {chosen}")
    if chosen not in kinds:
        kinds[chosen] = SINKS.get(chosen)
        given[chosen] = _read(reader, kinds[chosen].read_from(chosen))
    given[chosen] |= _optioned(reader, chosen, kinds[chosen], options)
    spool = _read(reader, SPOOL_VARIABLES)
    reader.finish()
    made = {name: one.settings(**given[name]) for name, one in kinds.items()}  # a contradiction is refused in any case
    return SinkSettings(kind=chosen, options=made[chosen], spool=SpoolSettings(**spool))


def _flagged(kind: SinkKind, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What flags say of a kind's settings."""
    return {setting: flags[flag] for flag, setting in kind.flags.items() if flags.get(flag)}


def _optioned(reader: Environment, name: str, kind: SinkKind, options: Sequence[str]) -> dict[str, Any]:
    """What `--sink-option` says of a kind's settings."""
    settings = {setting: (variable, read) for variable, (setting, read) in kind.read_from(name).items()}
    found: dict[str, Any] = {}
    for option in options:
        setting, equals, text = option.partition("=")
        if not equals or setting not in settings:
            there = "; it has none" if not settings else known(setting, settings)
            reader.problems.append(f"--sink-option {setting}: say NAME=VALUE, a setting of the {name} sink{there}")
        elif settings[setting][1] == "secret":
            reader.problems.append(f"--sink-option {setting}: a secret is not said there: set {settings[setting][0]}")
        else:
            found[setting] = reader.read(f"--sink-option {setting}", text, settings[setting][1])
    return found


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
    for suffix, wanted, secure, addresses in (
        ("WEBSOCKET_URL", "wss", transports.secure, (url,)),
        ("FAILOVER_URLS", "wss", transports.secure, failover),
        ("HTTP_URL", "https", HTTP.get, (http_url,)),
    ):
        wrong = [text for one in addresses if one and (text := _wrong_address(one, wanted, secure, insecure))]
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
        bad_data_share=_first(get("BAD_DATA_SHARE", "share"), reader.get("K2_BAD_DATA_SHARE", "share"), BAD_DATA_SHARE),
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


def unread(environment: Mapping[str, str], names: Sequence[str], sink: str | None = None) -> list[str]:
    """Variables that look like settings of sinks, the spool, or these connectors or exchanges, but that nothing reads.
    ``sink`` is the kind that is used, where one is said.
    """
    kinds = [*SINKS.built_in, *([sink] if sink and sink not in SINKS.built_in else [])]
    variables = {name: one for kind in kinds for name, one in SINKS.get(kind).read_from(kind).items()}
    secrets = (f"{name}_FILE" for name, (_, read) in variables.items() if read == "secret")
    read_ones = {*variables, *SPOOL_VARIABLES, *secrets}
    prefixes = tuple(dict.fromkeys(_prefix(name) for name in names))
    read_ones |= {f"{prefix}{suffix}" for prefix in prefixes for suffix in CONNECTOR_VARIABLES}
    sinks = [prefix for kind in kinds for prefix in (_prefix(kind), _prefix(f"sink {kind}"))
             if any(name.startswith(prefix) for name in variables)]
    ours = ("K2_SPOOL", *sinks, *prefixes)
    return sorted(name for name in environment if name.startswith(ours) and name not in read_ones)


def _wrong_address(text: str, wanted: str, secure: Secure, insecure: bool) -> str:
    """What is wrong with an address, without repeating it (it may hold a key); nothing where it is right."""
    parts = urlsplit(text)
    if secure(parts.scheme) is None or not parts.hostname:
        return f"an address starts with {wanted}:// and names a host"
    if not insecure and in_the_clear(parts, secure):
        return f"{parts.scheme}:// is for this machine only: say {wanted}://, or ALLOW_INSECURE=true beside it"
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


def _share(text: str) -> float:
    if not re.fullmatch(r"0|1|[01]?\.[0-9]{1,9}", text) or Decimal(text) > 1:
        raise ValueError("a share from 0 to 1 is needed, such as 0.05")
    return int(Decimal(text) * 1_000_000) / 1_000_000


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return text


_KINDS: dict[str, Any] = {
    "text": str, "secret": str, "bool": _bool, "int": _int, "positive": _positive, "hours": _hours, "list": text_list,
    "path": Path, "file": _file, "replicas": _replicas,
    "share": _share,
}
