"""The settings of a member of a group."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import replace

from k2conn.errors import SettingsError
from k2conn.group.settings import LONGEST_SESSION, SESSION, SHORTEST_SESSION, GroupSettings
from k2conn.group.slots import MOST_SLOTS, SLOTS
from k2conn.settings.environment import Environment, shown
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings

NAME, INSTANCE, COUNT = "K2_GROUP", "K2_GROUP_INSTANCE_ID", "K2_GROUP_SLOTS"
SHARED, HELD = "K2_GROUP_SHARE_LIMITS", "K2_GROUP_SESSION"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def group_settings(environment: Mapping[str, str], flag: str | None, sink: SinkSettings) -> GroupSettings | None:
    """What flag and environment say; None where they say no group. SettingsError with all problems."""
    reader = Environment(environment)
    named: str | None = reader.get(NAME, "text")
    name = (flag or named or "").strip()
    given = _Given(reader)
    if not name:
        reader.finish()
        return None
    said = "--group" if flag else NAME
    if not isinstance(sink.options, KafkaSettings):
        raise SettingsError(f"{said} shares the symbols through Kafka: it needs the kafka sink")
    found = given.checked(said, name, sink.options)
    kafka = found.kafka
    if kafka.journal is None:
        return found
    own = replace(
        kafka, state_topic=f"{kafka.state_topic}.{name}", state_partitions=found.slots,
        transactional_id=kafka.transactional_id or f"k2conn.group.{kafka.topic_prefix}{name}",
    )
    return replace(found, kafka=own, state=kafka.delivery if kafka.exactly_once else kafka.state)


def read_group(environment: Mapping[str, str], said: str, name: str, kafka: KafkaSettings) -> GroupSettings:
    """The same for a group that is named. ``said``: how."""
    return _Given(Environment(environment)).checked(said, name, kafka)


class _Given:
    """What the environment says beside the group's name."""

    def __init__(self, reader: Environment) -> None:
        self._reader = reader
        self._instance: str = reader.get(INSTANCE, "text") or socket.gethostname()
        self._slots: int | None = reader.get(COUNT, "int")
        self._share: bool | None = reader.get(SHARED, "bool")
        self._session: float | None = reader.get(HELD, "seconds")

    def checked(self, said: str, name: str, kafka: KafkaSettings) -> GroupSettings:
        """The settings. SettingsError with all problems."""
        problems, slots = self._reader.problems, self._slots
        for what, word in ((said, name), (INSTANCE, self._instance)):
            if _WORD.fullmatch(word) is None:
                problems.append(f"{what}{shown(word)}: a word of letters, digits, '.', '_' and '-' is needed")
        if slots is not None and not 1 <= slots <= MOST_SLOTS:
            problems.append(f"{COUNT}={slots}: a whole number from 1 to {MOST_SLOTS} is needed")
        session = SESSION if self._session is None else self._session
        if not SHORTEST_SESSION <= session <= LONGEST_SESSION:
            problems.append(f"{HELD}: {SHORTEST_SESSION:.0f}s to {LONGEST_SESSION:.0f}s are needed")
        self._reader.finish()
        return GroupSettings(
            name, self._instance, kafka, SLOTS if slots is None else slots, self._share is not False, session
        )
