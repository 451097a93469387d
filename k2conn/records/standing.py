"""Which records stand for themselves, and which are about another one: a correction, or what takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress

from k2conn.avro import RecordSchema
from k2conn.avro.picking import FieldPicker
from k2conn.records.registry import load_record

NEW = "NEW"
"""The name in an enum of actions for a record that stands for itself; null is the same."""


class StandingRecords:
    """Sorts records of one schema. A schema without actions has only such that stand for themselves."""

    def __init__(self, schema: RecordSchema) -> None:
        action = load_record(schema.name).profile.action
        self._picker: FieldPicker[tuple[str | None]] | None = None
        if action is not None and any(field.name == action for field in schema.fields):
            self._picker = FieldPicker(tuple, schema, (action,), {})

    def of(self, bodies: Sequence[bytes]) -> Sequence[bytes]:
        """Those of the bodies that stand for themselves. ValueError for bytes that are no such record."""
        return bodies if self._picker is None else list(compress(bodies, self.which(bodies)))

    def which(self, bodies: Sequence[bytes]) -> list[bool]:
        """Of each body, whether it does."""
        if self._picker is None:
            return [True] * len(bodies)
        return [action in (None, NEW) for (action,) in self._picker.pick(bodies)]


def stands(record: Mapping[str, object], action: str | None) -> bool:
    """Whether a decoded record stands for itself; ``action``: the field of its type that says so, if there is one."""
    return action is None or record.get(action) in (None, NEW)
