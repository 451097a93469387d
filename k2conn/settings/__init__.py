"""Settings by precedence: flag, environment (`K2_*`), default. Everything named here is really read.

Contradictions are refused at start, all at once, with the names of the variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from k2conn import transports
from k2conn.anomalies.settings import AnomalyMode, AnomalySettings, read_thresholds
from k2conn.candles.settings import CandleSettings
from k2conn.errors import CollectedProblems, SettingsError, known
from k2conn.features.settings import FeatureSettings
from k2conn.recording.folder import Bounds
from k2conn.runner import Overrides
from k2conn.runner.health_limits import HealthLimits
from k2conn.runner.overrides import BAD_DATA_SHARE
from k2conn.schemes import HTTP
from k2conn.settings.addresses import wrong_address
from k2conn.settings.environment import Environment
from k2conn.sinks import SINKS, SinkKind
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.variable_definitions import Variable
from k2conn.variables import prefix_of

SPOOL_VARIABLES = {
    "K2_SPOOL": Variable("mode", "text", "trouble (only while the sink is away or slow), always or never."),
    "K2_SPOOL_FOLDER": Variable("folder", "path", "Where it is; several processes may share it."),
    "K2_SPOOL_MAX_BYTES": Variable("max_bytes", "int", "What may be on the disk."),
    "K2_SPOOL_FSYNC_MS": Variable("fsync_ms", "ms", "How often it is forced to the disk."),
    "K2_SPOOL_PATIENCE_MS": Variable("patience_ms", "ms", "How long sockets wait for a sink that is only slow."),
}
"""Environment variable -> (SpoolSettings field, kind)."""

@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """What the environment says of one connector; None: nothing."""

    enabled: bool | None = None
    symbols: tuple[str, ...] | None = None
    streams: tuple[str, ...] | None = None
    intervals: tuple[str, ...] | None = None
    overrides: Overrides = field(default_factory=Overrides)


def sink_settings(
    environment: Mapping[str, str],
    kind: str | None = None,
    options: Sequence[str] = (),
    problems: CollectedProblems | None = None,
    **flags: Any,
) -> SinkSettings:
    """The sink's settings, by precedence: ``options`` (``name=value`` each) and ``flags`` (by the names that sinks
    declare; None where not given), the environment, the kind's defaults.

    Without a kind, a setting that implies one (a Kafka address) means that, else the embedded default is `file`.

    SettingsError with all problems; where ``problems`` is given they are noted there, and defaults stand for what is
    wrong.
    """
    reader = Environment(environment)
    kinds = {name: SINKS.get(name) for name in SINKS.built_in}
    given = {name: read_all(reader, one.read_from(name)) | flagged(one, flags) for name, one in kinds.items()}
    implied = [name for name, one in kinds.items() if one.implied_by in given[name]]
    chosen: str = kind or reader.get("K2_SINK") or (implied[0] if implied else "file")
    for name, one in kinds.items():
        if name != chosen and one.implied_by and flagged(one, flags):
            said = " and ".join(f"--{flag}" for flag in one.flags)
            reader.problems.append(f"{said} need the {name} sink, not {chosen}")
    if chosen not in kinds:
        kinds[chosen] = SINKS.get(chosen)
        given[chosen] = read_all(reader, kinds[chosen].read_from(chosen))
    given[chosen] |= _optioned(reader, chosen, kinds[chosen], options)
    spool = read_all(reader, SPOOL_VARIABLES)
    options_of = {  # a contradiction is refused in any case
        name: made(reader, one.settings, given[name], names_of(one, name, flags, options if name == chosen else ()))
        for name, one in kinds.items()
    }
    spooling = made(reader, SpoolSettings, spool, {setting: name for name, (setting, _) in SPOOL_VARIABLES.items()})
    noted = problems if problems is not None else CollectedProblems()
    with noted.noting():
        reader.finish()
    if problems is None:
        noted.finish()
    return SinkSettings(kind=chosen, options=options_of[chosen], spool=spooling)


def made(reader: Environment, settings: Any, given: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """The settings; the defaults after noting their problems in the user's own names. What follows only from a setting
    that could not be read is left out.
    """
    try:
        return settings(**given)
    except SettingsError as error:
        found = [in_own_names(problem, names) for problem in error.problems]
        reader.problems += [one for one in found if not any(name in one for name in reader.unreadable)]
        with suppress(SettingsError):
            return settings()
        return None


def names_of(kind: SinkKind, name: str, flags: Mapping[str, Any], options: Sequence[str]) -> dict[str, str]:
    """What the user calls each setting of a kind: as said, or else the variable."""
    names = {setting: variable for variable, (setting, _) in kind.read_from(name).items()}
    names |= {setting: f"--{flag}" for flag, setting in kind.flags.items() if flags.get(flag)}
    typed = [option.partition("=")[0] for option in options]
    return names | {setting: f"--sink-option {setting}" for setting in typed if setting in names}


def in_own_names(problem: str, names: Mapping[str, str]) -> str:
    """A problem with the names of settings replaced: where one begins the text, stands before ``=``, or has a ``_``."""
    for setting in sorted(names, key=len, reverse=True):
        word = re.escape(setting)
        place = rf"(?<![\w-]){word}(?!\w)" if "_" in setting else rf"(?:^{word}(?![\w-])|(?<![\w-]){word}(?==))"
        problem = re.sub(place, names[setting].replace("\\", ""), problem)
    return problem


def flagged(kind: SinkKind, flags: Mapping[str, Any]) -> dict[str, Any]:
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
    return {setting: value for setting, value in found.items() if value is not None}


def read_all(reader: Environment, variables: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The settings that these variables name, where they are set."""
    found = {setting: reader.get(name, kind) for name, (setting, kind) in variables.items()}
    return {setting: value for setting, value in found.items() if value is not None}


def connector_settings(environment: Mapping[str, str], exchange: str, name: str) -> ConnectorSettings:
    """What `K2_<EXCHANGE>_*` says; `K2_<CONNECTOR NAME>_*` comes first where both are set."""
    reader = Environment(environment)
    prefixes = dict.fromkeys((prefix_of(name), prefix_of(exchange)))

    def named(suffix: str, kind: str = "text") -> tuple[str, Any]:
        """The variable that says it, and its value."""
        values = ((f"{prefix}{suffix}", reader.get(f"{prefix}{suffix}", kind)) for prefix in prefixes)
        return next((one for one in values if one[1] is not None), ("", None))

    def get(suffix: str, kind: str = "text") -> Any:
        return named(suffix, kind)[1]

    insecure = get("ALLOW_INSECURE", "bool") is True
    found: dict[str, tuple[str, ...]] = {}
    for suffix, kind, wanted, secure in (
        ("WEBSOCKET_URL", "text", "wss", transports.secure),
        ("FAILOVER_URLS", "list", "wss", transports.secure),
        ("HTTP_URL", "text", "https", HTTP.get),
    ):
        variable, value = named(suffix, kind)
        found[suffix] = (value,) if isinstance(value, str) else tuple(value or ())
        wrong = [text for one in found[suffix] if (text := wrong_address(one, wanted, secure, insecure))]
        reader.problems += [f"{variable}: {text}" for text in wrong]
    hours = get("CONNECTION_MAX_LIFETIME_HOURS", "hours")
    proxied, proxy = named("PROXY", "proxy")
    overrides = Overrides(
        drift=_first(get("DRIFT", "bool"), reader.get("K2_DRIFT", "bool"), True),
        anomalies=_anomalies(reader, named("ANOMALIES"), named("ANOMALY_THRESHOLDS", "list")),
        audit=_first(get("AUDIT", "bool"), reader.get("K2_AUDIT", "bool"), False),
        candles=_candles(reader, named("CANDLES", "list")),
        features=_features(reader, named("FEATURES", "list")),
        urls=found["WEBSOCKET_URL"],
        failover=found["FAILOVER_URLS"],
        http_url=next(iter(found["HTTP_URL"]), None),
        instruments=get("INSTRUMENT_LIST", "path"),
        program=tuple(get("ALLOW_EXEC", "command") or ()),
        program_by=f"{next(iter(prefixes))}ALLOW_EXEC",
        allow_private_hosts=get("ALLOW_PRIVATE_HOSTS", "bool") is True,
        private_hosts_by=f"{next(iter(prefixes))}ALLOW_PRIVATE_HOSTS",
        verify=get("SSL_VERIFY", "bool") is not False,
        ca_file=get("CUSTOM_CA_BUNDLE", "authorities"),
        proxy=replace(proxy, said=proxied) if proxy is not None else None,
        ping_every=get("PING_INTERVAL_SECONDS", "positive_seconds"),
        ping_timeout=get("PING_TIMEOUT_SECONDS", "positive_seconds"),
        stale_after=get("HEALTH_CHECK_TIMEOUT", "seconds"),
        attempts=get("MAX_RECONNECT_ATTEMPTS", "int"),
        base_delay=get("RECONNECT_DELAY", "positive_seconds"),
        max_age=hours * 3600.0 if hours else None,
        backfill=_first(get("BACKFILL", "bool"), reader.get("K2_BACKFILL", "bool"), True),
        bad_data_share=_first(get("BAD_DATA_SHARE", "share"), reader.get("K2_BAD_DATA_SHARE", "share"), BAD_DATA_SHARE),
        replicas=get("REPLICAS", "replicas"),
        keep_open=get("KEEP_OPEN", "bool"),
        breaker_settings=replace(Overrides().breaker_settings, **_breaker_settings(get)),
        remembered=get("REMEMBERED_IDS", "positive"),
        most_symbols=get("MAX_SYMBOLS", "positive"),
    )
    settings = ConnectorSettings(
        enabled=get("ENABLED", "bool"),
        symbols=_tuple(get("SYMBOLS", "list")),
        streams=_tuple(get("STREAMS", "list")),
        intervals=_tuple(get("INTERVALS", "list")),
        overrides=overrides,
    )
    reader.finish()
    return settings


def _candles(reader: Environment, own: tuple[str, Any]) -> CandleSettings | None:
    """What is said of candles that are made of trades; ``own``: the connector's variable and its value."""
    said, names = own if own[1] is not None else ("K2_CANDLES", reader.get("K2_CANDLES", "list"))
    given = {
        "delay_us": reader.get("K2_CANDLES_DELAY", "seconds"),
        "lateness_us": reader.get("K2_CANDLES_LATENESS", "seconds"),
        "empty": reader.get("K2_CANDLES_EMPTY"),
    }
    if names is None or names == ["none"]:
        return None
    us = {name: round(value * 1_000_000) for name, value in given.items() if name.endswith("_us") and value is not None}
    empty = {"empty": given["empty"]} if given["empty"] is not None else {}
    try:
        return CandleSettings(tuple(names), **us, **empty)
    except SettingsError as error:
        reader.problems += [f"{said}: {problem}" for problem in error.problems]
        return None


def anomaly_settings(environment: Mapping[str, str]) -> AnomalySettings:
    """What `K2_ANOMALIES` and `K2_ANOMALY_THRESHOLDS` say, whatever the connector."""
    reader = Environment(environment)
    found = _anomalies(reader, ("", None), ("", None))
    reader.finish()
    return found


def _anomalies(reader: Environment, mode: tuple[str, Any], thresholds: tuple[str, Any]) -> AnomalySettings:
    """What is said of odd records: the connector's own variables and their values come first."""
    said, word = mode if mode[1] is not None else ("K2_ANOMALIES", reader.get("K2_ANOMALIES"))
    listed, words = thresholds if thresholds[1] is not None else (
        "K2_ANOMALY_THRESHOLDS", reader.get("K2_ANOMALY_THRESHOLDS", "list"))
    modes = {str(one): one for one in AnomalyMode}
    if word is not None and word not in modes:
        reader.problems.append(f"{said} '{word[:40]}': say {', '.join(modes)}")
    try:
        return AnomalySettings(modes.get(word or "", AnomalyMode.WATCH), read_thresholds(words or ()))
    except SettingsError as error:
        reader.problems += [f"{listed}: {problem}" for problem in error.problems]
        return AnomalySettings()


def feature_settings(environment: Mapping[str, str], names: Sequence[str], said: str) -> FeatureSettings | None:
    """Those of features of candles of these intervals; None where these are none. ``said``: what named them."""
    reader = Environment(environment)
    found = _features(reader, (said, list(names)))
    reader.finish()
    return found


def _features(reader: Environment, own: tuple[str, Any]) -> FeatureSettings | None:
    """What is said of features of candles; ``own``: the connector's variable and its value."""
    said, names = own if own[1] is not None else ("K2_FEATURES", reader.get("K2_FEATURES", "list"))
    given = {"window": reader.get("K2_FEATURES_WINDOW", "int"), "warm_up": reader.get("K2_FEATURES_WARM_UP", "int")}
    if names is None or names == ["none"]:
        return None
    try:
        return FeatureSettings(tuple(names), **{name: value for name, value in given.items() if value is not None})
    except SettingsError as error:
        reader.problems += [f"{said}: {problem}" for problem in error.problems]
        return None


def _breaker_settings(get: Callable[[str, str], Any]) -> dict[str, Any]:
    """When an address is out of order, and when it is no more: what is said of it."""
    given = {
        "failures": get("BREAKER_FAILURES", "positive"),
        "seconds": get("BREAKER_OPEN_SECONDS", "positive_seconds"),
        "successes": get("BREAKER_SUCCESSES", "positive"),
    }
    return {name: value for name, value in given.items() if value is not None}


def state_folder(environment: Mapping[str, str]) -> Path | None:
    """Where connectors keep what the next process must know (`K2_STATE_FOLDER`); None: nowhere."""
    reader = Environment(environment)
    found: Path | None = reader.get("K2_STATE_FOLDER", "path")
    reader.finish()
    return found


def health_limits(environment: Mapping[str, str]) -> HealthLimits:
    """When a process that works counts as degraded (`K2_DEGRADED_*`)."""
    reader = Environment(environment)
    found = HealthLimits(
        reader.get("K2_DEGRADED_ERRORS_24H", "int"), reader.get("K2_DEGRADED_MEMORY_MB", "positive"),
        reader.get("K2_DEGRADED_CANDLE_AGE", "positive_seconds"),
    )
    reader.finish()
    return found


RECORD_VARIABLES = {
    "K2_RECORD_FILE_BYTES": Variable("file_bytes", "int", "A new file when one has grown to this."),
    "K2_RECORD_FILE_SECONDS": Variable("file_seconds", "seconds", "A new file after so long."),
    "K2_RECORD_MAX_BYTES": Variable("total_bytes", "int", "Of all files; the oldest go."),
}
"""Environment variable -> (field of a recording's `Bounds`, kind)."""


def record_folder(environment: Mapping[str, str]) -> Path | None:
    """Where frames are recorded (`K2_RECORD_FOLDER`); None: nowhere."""
    reader = Environment(environment)
    found: Path | None = reader.get("K2_RECORD_FOLDER", "path")
    reader.finish()
    return found


def record_bounds(environment: Mapping[str, str]) -> Bounds:
    """How large a recording's files and all of them may be. SettingsError with all problems."""
    reader = Environment(environment)
    names = {setting: name for name, (setting, _) in RECORD_VARIABLES.items()}
    found: Bounds | None = made(reader, Bounds, read_all(reader, RECORD_VARIABLES), names)
    reader.finish()
    return found or Bounds()


def tap_token(environment: Mapping[str, str]) -> str:
    """What a request for /tap must have as its bearer token (`K2_TAP_TOKEN`, or the file `K2_TAP_TOKEN_FILE` names);
    empty where it needs none.
    """
    reader = Environment(environment)
    found: str | None = reader.get("K2_TAP_TOKEN", "secret")
    reader.finish()
    return found or ""


def is_enabled(environment: Mapping[str, str], name: str) -> bool:
    """Whether `K2_<CONNECTOR NAME>_ENABLED` says so."""
    reader = Environment(environment)
    found = reader.get(f"{prefix_of(name)}ENABLED", "bool") is True
    reader.finish()
    return found


def _first(*values: Any) -> Any:
    """The first value that is set."""
    return next((value for value in values if value is not None), None)


def _tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return tuple(value) if value else None
