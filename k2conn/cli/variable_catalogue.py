"""All environment variables with what is known of each: from the settings' own definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from k2conn.api.settings import VARIABLES as API_VARIABLES
from k2conn.api.settings import ApiSettings
from k2conn.cli.command_variables import CONNECTOR, commands_of
from k2conn.consumer.settings import VARIABLES as CONSUMER_VARIABLES
from k2conn.consumer.settings import ConsumerSettings
from k2conn.recording.folder import Bounds
from k2conn.settings import RECORD_VARIABLES, SPOOL_VARIABLES
from k2conn.settings.values import HIDDEN
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SpoolSettings
from k2conn.variable_definitions import (
    CONNECTOR_VARIABLES,
    PROCESS_VARIABLES,
    PROXY_VARIABLES,
    Definition,
    Variable,
)


@dataclass(frozen=True, slots=True)
class KnownVariable:
    """One variable. ``default`` is empty where nothing holds; ``commands`` is empty where all read it."""

    name: str
    group: str
    meaning: str
    default: str
    secret: bool
    in_file: bool
    commands: tuple[str, ...]


def known_variables() -> list[KnownVariable]:
    """All of them, those of installed packages' sinks too, in groups: the process, a connector, then each sink and what
    else has settings.
    """
    defined = {
        "process": PROCESS_VARIABLES,
        "connector": {f"{CONNECTOR}{name}": one for name, one in CONNECTOR_VARIABLES.items()},
        "proxies": PROXY_VARIABLES,
    }
    found = [_defined(group, name, one) for group, those in defined.items() for name, one in those.items()]
    found[len(PROCESS_VARIABLES):len(PROCESS_VARIABLES)] = _fields("recordings", RECORD_VARIABLES, Bounds)
    for kind in SINKS.names():
        sink = SINKS.get(kind)
        found += _fields(f"sink {kind}", sink.read_from(kind), sink.settings)
    found += _fields("spool", SPOOL_VARIABLES, SpoolSettings)
    found += _fields("source kafka", CONSUMER_VARIABLES, ConsumerSettings)
    found += _fields("serve", API_VARIABLES, ApiSettings)
    return found


def _defined(group: str, name: str, one: Definition) -> KnownVariable:
    in_file = one.in_file or group == "connector"
    return KnownVariable(name, group, one.meaning, one.default, one.secret, in_file, commands_of(name))


def _fields(group: str, variables: Mapping[str, tuple[str, str]], settings: Any) -> Iterator[KnownVariable]:
    """Variables that set the fields of a settings class, whose defaults are the fields'."""
    defaults = {one.name: _shown(one) for one in fields(settings)}
    for name, variable in variables.items():
        setting, kind = variable
        meaning = variable.meaning if isinstance(variable, Variable) else f"The setting {setting}."
        yield KnownVariable(name, group, meaning, defaults[setting], kind in HIDDEN, True, commands_of(name))


def _shown(one: Field[Any]) -> str:
    if one.default is MISSING or one.default is None:
        return ""
    if isinstance(one.default, bool):
        return str(one.default).lower()
    if isinstance(one.default, str | Path):
        return str(one.default)
    return f"{one.default:g}" if isinstance(one.default, float) else str(one.default) if one.default != () else ""
