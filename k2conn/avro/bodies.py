"""Whether bytes are records of a schema, without making values of them: at less than a tenth of what decoding costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from k2conn import native
from k2conn.avro.described import Described, described
from k2conn.avro.schema import RecordSchema


def well_formed(schema: RecordSchema, bodies: Sequence[bytes]) -> int:
    """How many of the first bodies surely are records of the schema. The one behind them may be one all the same: that
    is for `Resolution.body` to say, which says it of all where there is no C.
    """
    if native.well_formed is None:
        return 0
    found: int = native.well_formed(_described(schema), tuple(bodies))
    return found


@lru_cache(maxsize=64)
def _described(schema: RecordSchema) -> tuple[Described, ...]:
    return described(schema.fields)
