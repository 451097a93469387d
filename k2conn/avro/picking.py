"""Some fields of many records as tuples, the rest passed over: at a tenth of what decoding costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from k2conn import native
from k2conn.avro.schema import RecordSchema
from k2conn.avro.unscaled import UnscaledReader

_KINDS = {
    "string": 0, "bytes": 1, "boolean": 2, "int": 3, "date": 3, "long": 4, "timestamp-micros": 4, "timestamp-millis": 4,
    "decimal": 5, "enum": 6, "array<string>": 7, "map<string>": 8,
}
"""Their numbers in C."""

Picked = TypeVar("Picked", bound=tuple[Any, ...])


class FieldPicker(Generic[Picked]):
    """Reads ``names`` of each record of one schema into a ``kind`` of tuple, in that order: texts, whole numbers,
    booleans, decimals unscaled, and of an enumeration what ``words`` says under the field's name and the symbol.
    """

    def __init__(
        self, kind: type[Picked], schema: RecordSchema, names: Sequence[str],
        words: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._kind = kind
        self._names = tuple(names)
        self._words = dict(words)
        self._reader = UnscaledReader(schema.text)
        self._described = tuple(
            (_KINDS[field.kind], int(field.nullable), 0 if field.null_first else 1,
             self._names.index(field.name) if field.name in self._names else -1,
             tuple(words.get(field.name, {}).get(symbol, symbol) for symbol in field.symbols))
            for field in schema.fields
        )

    def pick(self, bodies: Sequence[bytes]) -> list[Picked]:
        """One tuple for each Avro body. ValueError for bytes that are no such record."""
        found: list[Picked] = [] if native.picked is None else native.picked(self._kind, self._described, tuple(bodies))
        while len(found) < len(bodies):
            found.append(self._one(bodies[len(found)]))
            if native.picked is not None:
                found += native.picked(self._kind, self._described, tuple(bodies[len(found) :]))
        return found

    def _one(self, body: bytes) -> Picked:
        record = self._reader.record(body)
        values = [self._words[name].get(record[name], record[name]) if name in self._words else record[name]
                  for name in self._names]
        return tuple.__new__(self._kind, values)
