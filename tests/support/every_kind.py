"""A record with a field of every kind, and strategies that draw such records."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from k2conn.avro import RecordSchema

ALL = RecordSchema("all", json.dumps({
    "type": "record", "name": "All", "fields": [
        {"name": "message_id", "type": "string"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "late", "type": ["string", "null"]},
        {"name": "raw", "type": "bytes"},
        {"name": "yes", "type": ["null", "boolean"]},
        {"name": "small", "type": "int"},
        {"name": "large", "type": ["null", "long"]},
        {"name": "micros", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "d8", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8}},
        {"name": "d18", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}]},
        {"name": "d5", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 5}},
        {"name": "d0", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 0}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "LONGER"]}},
        {"name": "texts", "type": {"type": "array", "items": "string"}},
        {"name": "more", "type": ["null", {"type": "map", "values": "string"}]},
    ],
}))

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def units(digits: int) -> st.SearchStrategy[int]:
    return st.integers(-(10**digits) + 1, 10**digits - 1)


RECORDS = st.tuples(
    st.uuids().map(str), st.none() | TEXTS, st.none() | TEXTS, st.binary(max_size=9), st.none() | st.booleans(),
    st.integers(-(2**31), 2**31 - 1), st.none() | st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**62), 2**63 - 1), st.integers(-(10**15), 10**15), st.none() | st.integers(-(10**6), 10**6),
    units(18), st.none() | units(38), units(20), units(10), st.sampled_from(["A", "B", "LONGER"]),
    st.lists(TEXTS, max_size=3), st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
)
