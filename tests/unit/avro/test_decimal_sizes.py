"""The size of decimals: one profile, a schema for each size, whoever wrote them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from k2conn import resources
from k2conn.avro import V2, WIDE, load_schema, read_decimals, read_schema, use_decimals
from k2conn.avro.decimals import widened
from k2conn.errors import SettingsError
from k2conn.records import add_records, load_record
from tests.paths import ROOT
from tests.support.large_numbers import larger_decimals as larger_decimals
from tests.support.own_records import SCHEMAS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with one record type, `kline`, which nobody has added yet."""
    monkeypatch.setattr(resources, "_ADDED", {})
    for name in ("kline_v2.avsc", "kline_v2.profile.toml"):
        shutil.copy(SCHEMAS / name, tmp_path)
    yield tmp_path
    use_decimals(V2)


@pytest.mark.parametrize("name", ["trade", "quote"])
def test_the_files_that_ship_differ_in_nothing_else(name: str) -> None:
    narrow, wide = (json.loads((ROOT / "schemas" / where / f"{name}_v2.avsc").read_text()) for where in ("", "38-18"))
    assert widened(narrow) == wide
    assert json.dumps(wide).count('"precision": 38, "scale": 18') == {"trade": 2, "quote": 4}[name]


def test_the_default_is_v2s(larger_decimals: None) -> None:
    assert load_schema("trade").fields[6].precision == 38
    assert load_record("trade", 1).schema is load_schema("trade")
    use_decimals(V2)
    assert (load_schema("trade").fields[6].precision, load_schema("trade").decimals) == (18, V2)
    assert load_record("trade", 1).schema is load_schema("trade")
    assert not load_record("trade").more_places


@pytest.mark.parametrize(("text", "size"), [("18,8", V2), ("38,18", WIDE), (" 38, 18 ", WIDE)])
def test_sizes_are_read(text: str, size: Any) -> None:
    assert read_decimals(text) == size


@pytest.mark.parametrize("text", ["38", "18,18", "8,18", "38.18", "0,0", "x"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"K2_DECIMALS .*: say 18,8 \(the default\) or 38,18"):
        read_decimals(text)


def test_a_users_type_has_them_without_a_file_of_its_own(folder: Path, larger_decimals: None) -> None:
    schema = json.loads((folder / "kline_v2.avsc").read_text())
    schema["fields"] += [
        {"name": "v2", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8}],
         "default": None},
        {"name": "own", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
         "default": "\u0001"},
        {"name": "set", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 8},
         "default": "\u0005\u00f5\u00e1\u0000"},
    ]
    (folder / "kline_v2.avsc").write_text(json.dumps(schema))
    add_records(folder)
    record = load_record("kline")
    sizes = {name: (record.field(name).precision, record.field(name).scale) for name in ("v2", "own", "set")}
    assert sizes == {"v2": (38, 18), "own": (10, 2), "set": (38, 18)}
    assert (record.profile.defaults["own"], record.profile.defaults["set"]) == (1, 10**18)


def test_a_users_own_file_for_them_is_taken(folder: Path, larger_decimals: None) -> None:
    schema = widened(json.loads((folder / "kline_v2.avsc").read_text()))
    (folder / "38-18").mkdir()
    (folder / "38-18" / "kline_v2.avsc").write_text(json.dumps({**schema, "doc": "mine"}))
    add_records(folder)
    assert '"doc":"mine"' in load_schema("kline").text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "Other"}, "is named"),
        ({"fields": [{"name": "message_id", "type": "string"}]}, "has other fields, or in another order"),
        ({"fields": None}, "schema field message_id: is another type there"),
    ],
)
def test_a_file_that_is_not_the_like_of_the_other_is_refused(folder: Path, change: dict[str, Any], text: str) -> None:
    schema = json.loads((folder / "kline_v2.avsc").read_text())
    if change.get("fields", 0) is None:
        change = {"fields": [{"name": "message_id", "type": "long"}, *schema["fields"][1:]]}
    (folder / "38-18").mkdir()
    (folder / "38-18" / "kline_v2.avsc").write_text(json.dumps({**schema, **change}))
    with pytest.raises(SettingsError) as caught:  # in the default size, too: it is said when the folder is read
        add_records(folder)
    assert text in str(caught.value)
    assert "38-18/kline_v2.avsc: not the like of" in str(caught.value)


def test_a_file_without_its_like_is_refused(folder: Path) -> None:
    (folder / "38-18").mkdir()
    (folder / "38-18" / "tick_v2.avsc").write_text("{}")
    with pytest.raises(SettingsError, match=r"38-18/tick_v2\.avsc: there is no tick_v2\.avsc in"):
        add_records(folder)


@pytest.mark.parametrize(
    "number", [0, 1, -1, 10**18, 2**63, -(2**63) - 1, 10**38 - 1, 1 - 10**38, 2**64, -(2**126)]
)
def test_every_number_is_read_by_others_as_it_was_written(number: int, larger_decimals: None) -> None:
    schema = read_schema("quote", resources.record_files()["quote"])
    values = {
        "message_id": "m", "quote_id": "q", "symbol": "S", "exchange": "X", "asset_class": "crypto", "timestamp": 1,
        "bid_price": number, "bid_quantity": 1, "ask_price": -number, "ask_quantity": 10**37, "currency": "USD",
        "source_sequence": None, "ingestion_timestamp": 1, "platform_sequence": None, "vendor_data": None,
    }
    body = schema.encode(list(values.values()))
    parsed = fastavro.parse_schema(json.loads(schema.text))
    found: Any = fastavro.schemaless_reader(BytesIO(body), parsed, None)
    digits = Decimal(number).as_tuple()
    assert found["bid_price"] == Decimal((digits.sign, digits.digits, -18))
    assert found["ask_quantity"] == Decimal(10) ** 19
