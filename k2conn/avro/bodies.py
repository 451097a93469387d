"""Whether bytes are records of a schema, without making values of them: at less than a tenth of what decoding costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from k2conn import native
from k2conn.avro.schema import RecordSchema

KINDS = {
    "string": 0, "bytes": 1, "boolean": 2, "int": 3, "date": 3, "long": 4, "timestamp-micros": 4, "timestamp-millis": 4,
    "decimal": 5, "enum": 6, "array<string>": 7, "map<string>": 8,
}
"""Their numbers in C."""


def well_formed(schema: RecordSchema, bodies: Sequence[bytes]) -> int:
    """How many of the first bodies surely are records of the schema. The one behind them may be one all the same: that
    is for `Resolution.body` to say, which says it of all where there is no C.
    """
    if native.well_formed is None:
        return 0
    found: int = native.well_formed(_described(schema), tuple(bodies))
    return found


@lru_cache(maxsize=64)
def _described(schema: RecordSchema) -> tuple[tuple[int, int, int, int, int], ...]:
    """The fields as the C code takes them: kind, whether it may be null, which branch that is, precision, symbols."""
    return tuple(
        (KINDS[field.kind], int(field.nullable), 0 if field.null_first else 1, field.precision, len(field.symbols))
        for field in schema.fields
    )
