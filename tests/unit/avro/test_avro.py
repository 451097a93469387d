"""The compiled encoder against fastavro: same values back, same bytes, and nothing bad accepted."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn.avro import ContainerWriter, RecordSchema, SchemaField, known_schemas, load_schema, plain_text
from k2conn.errors import EncodeError, SettingsError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_9999 = 253_402_300_799_999_999

TRADE: dict[str, Any] = {
    "message_id": "2f0c8f0e-7f5c-5d0a-9c63-3f4f4e8f9a10",
    "trade_id": "X-42",
    "symbol": "BTCUSD",
    "exchange": "X",
    "asset_class": "crypto",
    "timestamp": 1_767_323_045_678_901,
    "price": 6_400_010_000_000,
    "quantity": 25_000_000,
    "currency": "USD",
    "side": "SELL",
    "trade_conditions": [],
    "source_sequence": 42,
    "ingestion_timestamp": 1_767_323_045_700_000,
    "platform_sequence": None,
    "vendor_data": {"ord_type": "limit"},
}

TYPES: dict[str, Any] = {
    "string": "string",
    "bytes": "bytes",
    "boolean": "boolean",
    "int": "int",
    "long": "long",
    "timestamp-micros": {"type": "long", "logicalType": "timestamp-micros"},
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
    "decimal": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8},
    "array<string>": {"type": "array", "items": "string"},
    "map<string>": {"type": "map", "values": "string"},
}

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=80) | st.text("abc019-", max_size=70)


def values_of(field: SchemaField) -> st.SearchStrategy[Any]:
    limit = 10**field.precision
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "string": TEXT,
        "bytes": st.binary(max_size=200),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**30),
        "timestamp-micros": st.integers(-(10**15), YEAR_9999),
        "timestamp-millis": st.integers(-(10**12), YEAR_9999 // 1000),
        "decimal": st.integers(-limit + 1, limit - 1)
        | st.integers(-min(limit - 1, 300), min(limit - 1, 300)),
        "enum": st.sampled_from(field.symbols or ("",)),
        "array<string>": st.lists(TEXT, max_size=4),
        "map<string>": st.dictionaries(TEXT, TEXT, max_size=6),
    }
    plain = kinds[field.kind]
    return st.none() | plain if field.nullable else plain


def records_of(schema: RecordSchema) -> st.SearchStrategy[list[Any]]:
    return st.tuples(*map(values_of, schema.fields)).map(list)


@st.composite
def schemas(draw: st.DrawFn) -> RecordSchema:
    fields = []
    for index in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from([*TYPES, "enum"]))
        declared: Any = TYPES.get(kind, {"type": "enum", "name": f"E{index}", "symbols": ["A", "B", "C"]})
        if kind == "decimal":
            precision = draw(st.integers(1, 24))
            declared = {**declared, "precision": precision, "scale": draw(st.integers(0, min(precision, 8)))}
        null = draw(st.sampled_from(["no", "first", "last"]))
        union = {"no": declared, "first": ["null", declared], "last": [declared, "null"]}[null]
        fields.append({"name": f"f{index}", "type": union})
    return RecordSchema("any", json.dumps({"type": "record", "name": "Any", "fields": fields}))


def as_fastavro(field: SchemaField, value: Any) -> Any:
    if value is None:
        return None
    if field.kind == "decimal":
        digits = tuple(map(int, str(abs(value))))
        return Decimal((int(value < 0), digits, -field.scale))
    if field.kind == "timestamp-micros":
        return EPOCH + timedelta(microseconds=value)
    if field.kind == "timestamp-millis":
        return EPOCH + timedelta(milliseconds=value)
    return value


def judge(schema: RecordSchema, values: list[Any]) -> tuple[bytes, dict[str, Any]]:
    """What fastavro writes for the same record, and the record it was given."""
    record = {
        field.name: as_fastavro(field, value) for field, value in zip(schema.fields, values, strict=True)
    }
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema.text)), record)
    return stream.getvalue(), record


def padded(value: Any) -> bool:
    """Whether fastavro spends a byte more than two's complement needs: on -128, -32768 and so on (Java does not)."""
    return type(value) is int and value < 0 and (-value).bit_count() == 1 and (-value).bit_length() % 8 == 0


def check(schema: RecordSchema, values: list[Any]) -> None:
    expected, record = judge(schema, values)
    for _ in range(2):  # the second time goes by what the first has learnt
        body = schema.encode(values)
        assert body == expected or (any(map(padded, values)) and schema.decode(body) == schema.decode(expected))
    read = fastavro.schemaless_reader(
        io.BytesIO(expected), fastavro.parse_schema(json.loads(schema.text)), None
    )
    assert read == record
    decoded = schema.decode(expected)
    for field, value in zip(schema.fields, values, strict=True):
        exact = as_fastavro(field, value) if field.kind == "decimal" else value
        assert decoded[field.name] == exact


@pytest.mark.parametrize("name", ["trade", "quote"])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_record_has_the_bytes_fastavro_gives_it(name: str, data: st.DataObject) -> None:
    schema = load_schema(name)
    check(schema, data.draw(records_of(schema)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_schema_of_our_kinds_has_the_bytes_fastavro_gives_it(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    check(schema, data.draw(records_of(schema)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_constants_change_no_byte(data: st.DataObject) -> None:
    schema = data.draw(schemas() | st.just(load_schema("trade")))
    values = data.draw(records_of(schema))
    fixed = data.draw(st.sets(st.sampled_from(range(len(values)))))
    encode = schema.compile({schema.fields[index].name: values[index] for index in fixed})
    given_values = [object() if index in fixed else value for index, value in enumerate(values)]
    assert encode(given_values) == schema.encode(values)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", 10**18, "overflow"),
        ("price", -(10**18), "overflow"),
        ("price", 64000.1, "bad-type"),
        ("price", True, "bad-type"),
        ("price", "64000.1", "bad-type"),
        ("price", None, "bad-type"),
        ("quantity", 2**80, "overflow"),
        ("timestamp", 2**63, "overflow"),
        ("timestamp", True, "bad-type"),
        ("timestamp", 1.5e15, "bad-type"),
        ("timestamp", None, "bad-type"),
        ("symbol", b"BTCUSD", "bad-type"),
        ("symbol", ["BTCUSD"], "bad-type"),
        ("symbol", 7, "bad-type"),
        ("symbol", None, "bad-type"),
        ("symbol", "\ud800", "bad-type"),
        ("side", "buy", "unknown-side"),
        ("side", ["BUY"], "unknown-side"),
        ("asset_class", "bonds", "bad-type"),
        ("source_sequence", -(2**63) - 1, "overflow"),
        ("source_sequence", False, "bad-type"),
        ("trade_conditions", None, "bad-type"),
        ("trade_conditions", "ABC", "bad-type"),
        ("trade_conditions", [1], "bad-type"),
        ("vendor_data", {"a": 1}, "bad-type"),
        ("vendor_data", {"a": None}, "bad-type"),
        ("vendor_data", {"a": ["b"]}, "bad-type"),
        ("vendor_data", {1: "a"}, "bad-type"),
        ("vendor_data", {"a": "\udfff"}, "bad-type"),
        ("vendor_data", ["a"], "bad-type"),
        ("vendor_data", "a", "bad-type"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_fields_name(
    field: str, value: object, reason: str
) -> None:
    schema = load_schema("trade")
    schema.encode(list(TRADE.values()))
    with pytest.raises(EncodeError) as caught:
        schema.encode(list((TRADE | {field: value}).values()))
    assert caught.value.field.partition(".")[0] == field
    assert caught.value.reason == reason


def test_a_record_of_the_wrong_length_is_refused() -> None:
    for values in ([], list(TRADE.values())[:-1], [*TRADE.values(), None]):
        with pytest.raises(EncodeError, match="expected 15 values"):
            load_schema("trade").encode(values)


def test_a_constant_that_does_not_fit_is_refused_when_compiling() -> None:
    with pytest.raises(EncodeError, match="asset_class"):
        load_schema("trade").compile({"asset_class": "bonds"})
    with pytest.raises(EncodeError, match="no such field"):
        load_schema("trade").compile({"prize": 1})


def test_the_fields_are_those_of_the_platform() -> None:
    trade, quote = load_schema("trade"), load_schema("quote")
    assert (trade.full_name, quote.full_name) == ("com.k2.marketdata.TradeV2", "com.k2.marketdata.QuoteV2")
    assert [field.name for field in trade.fields] == list(TRADE)
    assert len(quote.fields) == 15
    assert [(field.precision, field.scale) for field in quote.fields if field.kind == "decimal"] == [
        (18, 8)
    ] * 4
    assert trade.fields[trade.index("side")].symbols == ("BUY", "SELL", "SELL_SHORT", "UNKNOWN")
    assert [field.name for field in trade.fields if field.has_default] == [
        "source_sequence",
        "platform_sequence",
        "vendor_data",
    ]
    assert all(field.doc for field in (*trade.fields, *quote.fields))


def test_an_unknown_record_type_lists_the_known_ones() -> None:
    assert known_schemas() == ("anomaly", "candle", "feature", "gap", "price", "quote", "trade")
    with pytest.raises(SettingsError, match="known are anomaly, candle, feature, gap, price, quote, trade"):
        load_schema("../trade")


def test_a_schema_with_binary_floats_is_refused() -> None:
    text = json.dumps({"type": "record", "name": "R", "fields": [{"name": "price", "type": "double"}]})
    with pytest.raises(SettingsError, match="price"):
        RecordSchema("r", text)


def test_the_plain_form_is_ready_for_json() -> None:
    schema = load_schema("trade")
    plain = schema.decode_plain(schema.encode(list(TRADE.values())))
    assert plain == TRADE | {"price": "64000.1", "quantity": "0.25"}
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("64000.10000000", "64000.1"),
        ("1E-8", "0.00000001"),
        ("0E-8", "0"),
        ("-0.5", "-0.5"),
        ("1E+3", "1000"),
    ],
)
def test_decimals_print_plainly(number: str, text: str) -> None:
    assert plain_text(Decimal(number)) == text


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_bytes_that_are_no_record_are_refused(cut: int) -> None:
    schema = load_schema("trade")
    body = schema.encode(list(TRADE.values()))
    with pytest.raises(ValueError, match="not a trade record"):
        schema.decode(body[:cut])
    with pytest.raises(ValueError, match="not a trade record"):
        schema.decode(body + b"\x00")


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_a_container_file_reads_back(codec: str) -> None:
    schema = load_schema("trade")
    stream = io.BytesIO()
    writer = ContainerWriter(stream, schema, codec, block_bytes=2000)
    bodies = [schema.encode(list((TRADE | {"source_sequence": number}).values())) for number in range(100)]
    filled = sum(writer.append(body) for body in bodies)
    assert filled > 3
    writer.flush()
    assert writer.written == len(stream.getvalue())
    stream.seek(0)
    records = list(fastavro.reader(stream))
    assert [record["source_sequence"] for record in records] == list(range(100))
    assert records[0]["price"] == Decimal("64000.1")


def test_an_empty_container_file_is_still_a_container_file() -> None:
    stream = io.BytesIO()
    ContainerWriter(stream, load_schema("quote")).flush()
    stream.seek(0)
    assert list(fastavro.reader(stream)) == []


class Full(io.BytesIO):
    """A stream whose disk is full after ``room`` bytes."""

    room = 10**9

    def write(self, data: Any) -> int:
        taken = super().write(data[: max(0, self.room - self.tell())])
        if not taken:
            raise OSError("no space left on device")
        return taken


def test_a_failed_block_can_be_written_again() -> None:
    schema = load_schema("trade")
    body = schema.encode(list(TRADE.values()))
    stream = Full()
    writer = ContainerWriter(stream, schema)
    writer.append(body)
    writer.flush()
    stream.room = writer.written + 20
    for _ in range(10):
        writer.append(body)
    with pytest.raises(OSError, match="no space"):
        writer.flush()
    stream.truncate(writer.written)
    stream.seek(writer.written)
    stream.room = 10**9
    writer.flush()
    stream.seek(0)
    assert len(list(fastavro.reader(stream))) == 11


def test_the_same_constants_give_the_same_encoder_and_others_another() -> None:
    fields = [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]
    schema = RecordSchema("r", json.dumps({"type": "record", "name": "r", "fields": fields}))
    one = schema.compile({"a": 1, "b": "x"})
    assert schema.compile({"b": "x", "a": 1}) is one
    assert schema.compile({"a": 2, "b": "x"})([0, ""]) != one([0, ""]) == b"\x02\x02x"
    with pytest.raises(EncodeError):
        schema.compile({"a": True, "b": "x"})
    for number in range(1000):
        schema.compile({"a": number})
    assert len(schema._compiled) <= 256, "a process that lives long would keep them all"
