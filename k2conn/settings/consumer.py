"""The settings of Kafka as a source: the addresses and logins that the Kafka sink has, too, and what to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k2conn.consumer.settings import VARIABLES, ConsumerSettings
from k2conn.errors import SettingsError
from k2conn.settings import flagged, made, names_of, read_all
from k2conn.settings.environment import Environment
from k2conn.sinks import SINKS

KAFKA = "kafka"


def consumer_settings(
    environment: Mapping[str, str], *, kafka: str | None = None, registry: str | None = None,
    topics: Sequence[str] = (), group: str | None = None, from_beginning: bool = False,
) -> ConsumerSettings:
    """By precedence: what flags say, the environment, defaults. SettingsError with all problems."""
    reader = Environment(environment)
    kind, flags = SINKS.get(KAFKA), {"kafka": kafka, "registry": registry}
    cluster = made(reader, kind.settings, read_all(reader, kind.read_from(KAFKA)) | flagged(kind, flags),
                   names_of(kind, KAFKA, flags, ()))
    given: dict[str, Any] = read_all(reader, VARIABLES)
    own = {"topics": tuple(topics), "group": group, "from_beginning": from_beginning}
    said = {name: value for name, value in own.items() if value}
    given = {**given, **said, "kafka": cluster}
    given["topics"] = tuple(given.get("topics", ()))
    names = {setting: variable for variable, (setting, _) in VARIABLES.items()}
    names |= {setting: f"--{setting.replace('_', '-')}" for setting in said} | (
        {} if given.get("topics") else {"topics": "--topics"})
    found: ConsumerSettings | None = made(reader, ConsumerSettings, given, names) if cluster is not None else None
    reader.finish()
    if found is None:
        raise SettingsError("the settings of Kafka cannot be used")
    return found
