"""Writer schemas: what the registry says of the schemas that messages were written with, each asked for once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from k2conn.avro import Resolution, declared_name
from k2conn.clock import monotonic
from k2conn.errors import SettingsError
from k2conn.records import known_records, load_record, record_revisions
from k2conn.sinks.kafka.registry import OtherKind, SchemaRegistry

MOST = 2000
"""Schemas that are remembered; the oldest has to go."""
REFUSED_FOR = 60.0
"""Seconds after which a schema that was no use is asked for again: it may be registered, or of another version, then.
"""


@dataclass(frozen=True, slots=True)
class UnusableSchema:
    """A schema by which no record of ours can be read, and why."""

    reason: str
    until: float


WriterSchema = Resolution | UnusableSchema


class WriterSchemas:
    """By the five bytes before a record's Avro body."""

    def __init__(self, registry: SchemaRegistry, now: Callable[[], float] = monotonic) -> None:
        self._registry = registry
        self._now = now
        self._known: dict[bytes, WriterSchema] = {}

    def get(self, head: bytes) -> WriterSchema | None:
        """What is known of a schema; None where it must be asked for."""
        found = self._known.get(head)
        if isinstance(found, UnusableSchema) and found.until < self._now():
            del self._known[head]
            return None
        return found

    def ask(self, head: bytes) -> WriterSchema:
        """Asks the registry; blocking. Unreachable or SinkError where it does not say, so that one must wait."""
        return self._judged(int.from_bytes(head[1:], "big"))

    def keep(self, head: bytes, schema: WriterSchema) -> None:
        """Remembers one."""
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[head] = schema

    def _judged(self, number: int) -> WriterSchema:
        try:
            text = self._registry.schema(number)
        except OtherKind as error:
            return self._unusable(str(error))
        if text is None:
            return self._unusable(f"the registry at {self._registry.url} knows no schema {number}")
        try:
            name = declared_name(text)
            own = next((one for one in known_records() if load_record(one).schema.full_name == name), None)
            if own is None:
                return self._unusable(f"schema {number} is of {name[:200]}, which is no record type here")
            return _resolved(text, own)
        except SettingsError as error:
            return self._unusable(f"schema {number}: {error}")

    def _unusable(self, reason: str) -> UnusableSchema:
        return UnusableSchema(reason[:1000], self._now() + REFUSED_FOR)


def _resolved(text: str, record: str) -> Resolution:
    """Records of that schema as those of the revision that they are of; others as those of the latest, which has room
    for all. SettingsError where they never can be.
    """
    for revision in record_revisions(record):
        with suppress(SettingsError):
            found = Resolution(text, revision.schema)
            if found.same:
                return found
    return Resolution(text, load_record(record).schema)
