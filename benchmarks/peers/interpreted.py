"""`k2conn` on its interpretive reference path: jmespath's interpreter for every expression, fastavro for every record.

    python -m benchmarks.peers.interpreted run ...

All else is the same engine: transport, session, identity, ledger, sink. The encoder is given bytes for decimals and
plain numbers for times, which costs fastavro less than Decimals and datetimes would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import fastavro

from k2conn.avro import RecordSchema
from k2conn.cli import main
from k2conn.compiler.expressions.expressions import reference


def compile_by_fastavro(schema: RecordSchema, constants: Mapping[str, object]) -> Callable[[Sequence[Any]], bytes]:
    """In place of `RecordSchema.compile`: the same values, written by fastavro."""
    declared = fastavro.parse_schema(_plain(json.loads(schema.text)))
    names = [field.name for field in schema.fields]
    decimals = [field.name for field in schema.fields if field.kind == "decimal"]

    def encode(values: Sequence[Any]) -> bytes:
        record = dict(zip(names, values, strict=True))
        record.update(constants)
        for name in decimals:
            number = record[name]
            if number is not None:
                record[name] = number.to_bytes(number.bit_length() // 8 + 1, signed=True)
        out = BytesIO()
        fastavro.schemaless_writer(out, declared, record)
        return out.getvalue()

    return encode


def _plain(declared: Any) -> Any:
    """The schema without its logical types: their bytes are the same."""
    if isinstance(declared, list):
        return [_plain(part) for part in declared]
    if isinstance(declared, dict):
        return {key: _plain(value) for key, value in declared.items() if key not in ("logicalType", "default")}
    return declared


if __name__ == "__main__":
    RecordSchema.compile = compile_by_fastavro  # type: ignore[assignment, method-assign]
    with reference():
        main()
