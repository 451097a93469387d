"""The settings of a member of a group."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from k2conn.errors import SettingsError
from k2conn.group.settings import GroupSettings
from k2conn.group.slots import MOST_SLOTS, SLOTS
from k2conn.settings.environment import Environment, shown
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings

NAME, INSTANCE, COUNT, SHARED = "K2_GROUP", "K2_GROUP_INSTANCE_ID", "K2_GROUP_SLOTS", "K2_GROUP_SHARE_LIMITS"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def group_settings(environment: Mapping[str, str], flag: str | None, sink: SinkSettings) -> GroupSettings | None:
    """What flag and environment say; None where they say no group. SettingsError with all problems."""
    reader = Environment(environment)
    name: str = (flag or reader.get(NAME, "text") or "").strip()
    if not name:
        reader.finish()
        return None
    if not isinstance(sink.options, KafkaSettings):
        raise SettingsError(f"{'--group' if flag else NAME} shares the symbols through Kafka: it needs the kafka sink")
    return read_group(reader, "--group" if flag else NAME, name, sink.options)


def read_group(reader: Environment, said: str, name: str, kafka: KafkaSettings) -> GroupSettings:
    """The same for a group that is named. ``said``: how."""
    instance: str = reader.get(INSTANCE, "text") or socket.gethostname()
    slots: int | None = reader.get(COUNT, "int")
    share: bool | None = reader.get(SHARED, "bool")
    for what, word in ((said, name), (INSTANCE, instance)):
        if _WORD.fullmatch(word) is None:
            reader.problems.append(f"{what}{shown(word)}: a word of letters, digits, '.', '_' and '-' is needed")
    if slots is not None and not 1 <= slots <= MOST_SLOTS:
        reader.problems.append(f"{COUNT}={slots}: a whole number from 1 to {MOST_SLOTS} is needed")
    reader.finish()
    return GroupSettings(name, instance, kafka, slots or SLOTS, share is not False)
