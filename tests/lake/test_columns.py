"""Records as columns of the lake: C and Python make the same, value by value, and no body is more than a refusal."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k2conn import native
from k2conn.avro import RecordSchema, load_schema
from k2conn.avro.described import described
from k2conn.lake.columns import columns_of
from k2conn.lake.rows import ColumnFormat, RowsRefused
from k2conn.lake.tables import Shape
from k2conn.records import V2, WIDE, use_decimals
from tests.support.databases import candle, numbered
from tests.support.every_kind import ALL, RECORDS, TEXTS
from tests.support.lakes import lake, writer

pytestmark = pytest.mark.skipif(native.columns is None, reason="k2conn/native is not built here (no C compiler)")


class Table:
    """As much of a table as `ColumnFormat` asks for."""

    def __init__(self, schema: RecordSchema, maps: str) -> None:
        from pyiceberg.schema import Schema, assign_fresh_schema_ids
        from pyiceberg.types import NestedField

        from k2conn.lake.tables import iceberg_type

        self._schema = assign_fresh_schema_ids(Schema(*(
            NestedField(0, one.name, iceberg_type(one, maps), required=not one.nullable) for one in schema.fields
        )))

    def schema(self) -> Any:
        return self._schema


@cache
def format_of(schema: RecordSchema, maps: str = "map") -> ColumnFormat:
    return ColumnFormat(Shape("all", "all", schema.fields, "micros"), Table(schema, maps))


EMPTY: tuple[Any, ...] = (
    "00000000-0000-0000-0000-000000000000", None, None, b"", None, 0, None, 0, 0, None, 0, None, 0, 0, "A", [],
)
"""All fields but the last one."""


def in_python(form: ColumnFormat, schema: RecordSchema, bodies: list[bytes]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "columns", None)
        return form.of_records(schema, bodies)


def same(made: Any, known: Any) -> None:
    """The same types and values; and each array is what its type says."""
    made.validate(full=True)
    assert made.schema == known.schema
    assert made.equals(known)


@given(st.lists(RECORDS, min_size=1, max_size=20), st.sampled_from(["map", "json"]))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_c_and_python_make_the_same_columns(records: list[tuple[Any, ...]], maps: str) -> None:
    form, bodies = format_of(ALL, maps), [ALL.encode(record) for record in records]
    assert columns_of(ALL, [one.type for one in form.fields], bodies) is not None
    same(form.of_records(ALL, bodies), in_python(form, ALL, bodies))


@pytest.mark.parametrize("size", [V2, WIDE])
@pytest.mark.parametrize("kind", ["trades", "candles"])
def test_the_tables_of_both_sizes_of_decimals_are_the_same_by_both_ways(kind: str, size: Any, tmp_path: Path) -> None:
    use_decimals(size)
    try:
        name = {"trades": "trade", "candles": "candle"}[kind]
        schema, form = load_schema(name), writer(lake(tmp_path), kind).format
        most = 10 ** schema.fields[schema.index({"trades": "price", "candles": "close"}[kind])].precision - 1
        if kind == "trades":
            some = [numbered(at, price=price, source_sequence=at if at % 3 else None)
                    for at, price in enumerate([0, 1, -1, most, -most, 255, 256, -256, 2**53 + 1])]
        else:
            some = [candle(at, close=price, quote_volume=price if at % 2 else None, is_closed=bool(at % 2))
                    for at, price in enumerate([0, 1, -1, most, -most])]
        bodies = [one.value for one in some]
        assert columns_of(schema, [one.type for one in form.fields[: len(schema.fields)]], bodies) is not None
        same(form.of_records(schema, bodies), in_python(form, schema, bodies))
    finally:
        use_decimals(V2)


@given(RECORDS, st.data())
@settings(deadline=None)
def test_a_damaged_body_is_refused_or_read_the_same(record: tuple[Any, ...], data: st.DataObject) -> None:
    body, form = bytearray(ALL.encode(record)), format_of(ALL)
    what = data.draw(st.sampled_from(["cut", "longer", "changed"]))
    at = data.draw(st.integers(0, len(body) - 1))
    if what == "cut":
        del body[at:]
    elif what == "longer":
        body += b"\0"
    else:
        body[at] = data.draw(st.integers(0, 255))
    made = native.columns(described(ALL.fields), (bytes(body),))
    if what != "changed":
        assert made is None
        with pytest.raises(RowsRefused):
            form.of_records(ALL, [bytes(body)])
        return
    try:
        known = in_python(form, ALL, [bytes(body)])
    except RowsRefused:
        return
    same(form.of_records(ALL, [bytes(body)]), known)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=4))
@settings(deadline=None)
def test_a_map_that_names_a_key_twice_has_the_last_of_them(pairs: list[tuple[str, str]]) -> None:
    """Avro's bytes may say so; a row of Arrow must not have both."""
    body = ALL.encode((*EMPTY, {}))
    assert body.endswith(b"\x02\0")
    texts = b"".join(bytes([2 * len(text.encode())]) + text.encode() for pair in [*pairs, pairs[0]] for text in pair)
    twice = body[:-1] + bytes([2 * (len(pairs) + 1)]) + texts + b"\0"
    form = format_of(ALL)
    found = form.of_records(ALL, [twice])
    same(found, in_python(form, ALL, [twice]))
    assert dict(found["more"].to_pylist()[0]) == dict([*pairs, pairs[0]])


def test_a_map_in_several_blocks_and_one_of_many_entries() -> None:
    form = format_of(ALL)
    many = ALL.encode((*EMPTY, {str(number): "v" for number in range(100)}))
    plain = ALL.encode((*EMPTY, {}))
    blocks = plain[:-1] + b"\2" + b"\2a\2b" + b"\1\10" + b"\2c\2d" + b"\0"
    same(form.of_records(ALL, [many, blocks, plain]), in_python(form, ALL, [many, blocks, plain]))
    assert form.of_records(ALL, [blocks])["more"].to_pylist()[0] == [("a", "b"), ("c", "d")]


def test_arguments_of_other_types_are_errors() -> None:
    fields = described(load_schema("trade").fields)
    for wrong in ((), (fields,), (fields, [b""]), (list(fields), (b"",)), (fields, ("",)), ((1,), (b"",)),
                  (((99, 0, 0, 0, 0, ()),), (b"",)), (((0, 0, 0, 0, 0, ()),) * 300, (b"",))):
        with pytest.raises((TypeError, ValueError)):
            native.columns(*wrong)
