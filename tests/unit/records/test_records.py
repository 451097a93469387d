"""Profiles and schemas: all that is wrong is said at once, with file and key; and only they know the record types."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2conn import resources
from k2conn.avro.fields import KINDS
from k2conn.compiler.compiler import check_text
from k2conn.engine.gaps.gap_records import gap_topic
from k2conn.errors import SettingsError
from k2conn.records import FILLABLE, Profile, add_records, known_records, load_record
from k2conn.records.profile import ENGINE_KINDS
from k2conn.records.reading import read_profile
from tests.paths import ROOT
from tests.support.own_records import CONNECTOR, SCHEMAS, known_here
from tests.support.plans import intake_of, plan_of

own_records = known_here(SCHEMAS)


# -- the types that ship


def test_every_schema_that_ships_has_a_profile() -> None:
    schemas = {path.name.removesuffix(".avsc") for path in (ROOT / "schemas").glob("*_v2.avsc")}
    assert schemas == {path.name.removesuffix(".profile.toml") for path in (ROOT / "schemas").glob("*.toml")}


def test_what_ships_and_what_connector_files_can_have() -> None:
    assert {"gap", "quote", "trade"} <= set(known_records())
    assert known_records("engine") == ("anomaly", "feature", "gap")
    assert set(known_records("connectors")) == {"candle", "kline", "price", "quote", "sample", "status", "trade"}


def test_defaults_are_the_encoders_values() -> None:
    assert load_record("trade", 1).profile.defaults == {"trade_conditions": [], "source_sequence": None}
    assert {load_record("sample").profile.defaults[name] for name in ("with_default", "worth", "grade")} == {
        7, 256, "plain"
    }


def test_gap_records_are_a_profile_too() -> None:
    assert gap_topic(plan_of()) == f"market.crypto.{load_record('gap').profile.plural}.venue"


def test_every_kind_but_raw_bytes_can_be_filled() -> None:
    assert set(KINDS) - set(FILLABLE) == {"bytes"}
    assert {field.kind for field in load_record("sample").mapped} == set(FILLABLE)


# -- files that are wrong


def wrong(folder: Path, change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> list[str]:
    """The problems of a kline whose profile and schema fields a change has spoilt, without the folder's name."""
    profile = tomllib.loads((SCHEMAS / "kline_v2.profile.toml").read_text())
    schema = json.loads((SCHEMAS / "kline_v2.avsc").read_text())
    change(profile, schema["fields"])
    lines = [f"{key} = {json.dumps(value)}" for key, value in profile.items() if key != "defaults"]
    lines += ["[defaults]", *(f"{key} = {json.dumps(value)}" for key, value in profile.get("defaults", {}).items())]
    (folder / "stick_v2.profile.toml").write_text("\n".join(lines))
    (folder / "stick_v2.avsc").write_text(json.dumps(schema))
    with pytest.raises(SettingsError) as raised:
        add_records(folder)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def field(fields: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in fields if one["name"] == name)


PROFILE = "stick_v2.profile.toml"
SCHEMA = "stick_v2.avsc"


def test_all_problems_of_a_profile_come_at_once(tmp_path: Path) -> None:
    def change(profile: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        del profile["plural"]
        profile["tiem"] = "open_time"
        profile["time"] = "interval"
        profile["price"] = "closing"
        profile["prices"] = "open"
        profile["id"] = "is_closed"
        profile["made_by"] = "me"
        profile["identity"] = ["open_tme"]
        profile["engine"] = ["message_id", "exchange", "vendor", "currency", "asset_class"]
        profile["defaults"] = {"interval": 5, "volume": "x", "low": "1.5", "open_time": 1, "exchange": "X", "q": 1}

    problems = wrong(tmp_path, change)
    assert problems == [
        f"{PROFILE}: tiem: unknown key; did you mean 'time'?",
        f"{PROFILE}: plural: is missing",
        f'{PROFILE}: prices: is a list of texts: ["...", "..."]',
        f"{PROFILE}: made_by: 'me' is not one of connectors, engine",
        f"{PROFILE}: engine: 'symbol' is missing: every record has one",
        f"{PROFILE}: engine: 'vendor' is nothing that the engine can fill; did you mean 'vendor_data'?",
        f"{PROFILE}: engine: the schema has no field 'currency'",
        f"{PROFILE}: time: 'interval' is string, not timestamp-micros or timestamp-millis",
        f"{PROFILE}: id: 'is_closed' is boolean, not string",
        f"{PROFILE}: price: the schema has no field 'closing'; did you mean 'close'?",
        f"{PROFILE}: identity: the schema has no field 'open_tme'; did you mean 'open_time'?",
        f"{PROFILE}: defaults.interval: expected text, got int",
        f"{PROFILE}: defaults.volume: 'x' is no number",
        f"{PROFILE}: defaults.open_time: a timestamp-micros field has no default here",
        f"{PROFILE}: defaults.exchange: this field is never left unmapped",
        f"{PROFILE}: defaults.q: the schema has no such field; known: message_id, symbol, exchange, asset_class, "
        "interval, open_time, close_time, open, high, low, close, volume, quote_volume, trade_count, is_closed, "
        "ingestion_timestamp, vendor_data",
    ]


def test_a_precision_that_would_take_for_ever_is_refused(tmp_path: Path) -> None:
    def change(profile: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        field(fields, "high")["type"]["precision"] = 10**9

    assert "at most 1000, not 1000000000" in wrong(tmp_path, change)[0]


def test_all_problems_of_a_schema_come_at_once(tmp_path: Path) -> None:
    def change(profile: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        field(fields, "open")["type"] = "double"
        field(fields, "high")["type"]["precision"] = 4
        field(fields, "low")["type"] = ["null", "string", "long"]
        field(fields, "close")["type"] = {"type": "array"}
        del field(fields, "interval")["type"]

    problems = wrong(tmp_path, change)
    assert [one.partition(": ")[0] for one in problems] == [SCHEMA] * 5
    assert problems[0] == f"{SCHEMA}: field 5 has no name or no type"
    assert "schema field open: type {'type': 'double'} is not one of string, bytes" in problems[1]
    assert "scale up to it, not 4 and 8" in problems[2]
    assert "schema field low: of unions only [null, one type]" in problems[3]
    assert "schema field close: {'type': 'array'} is no Avro type" in problems[4]


def test_what_nothing_can_fill_is_a_problem_of_the_schema(tmp_path: Path) -> None:
    def change(profile: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        field(fields, "interval")["type"] = "bytes"
        field(fields, "is_closed")["default"] = "no"
        field(fields, "trade_count").update(type=["long", "null"])
        profile["identity"] = ["open_time"]

    assert wrong(tmp_path, change) == [
        f"{SCHEMA}: interval: bytes cannot be filled from a message: give it a default, or take the field out",
        f"{SCHEMA}: trade_count: the default of a union is a value of its first type",
        f"{SCHEMA}: is_closed: expected true or false, got str",
    ]


def test_files_that_belong_to_no_type(tmp_path: Path) -> None:
    (tmp_path / "bar.avsc").write_text("{}")
    (tmp_path / "baz_v2.profile.toml").write_text("")
    (tmp_path / "trade_v2.avsc").write_text("{}")
    (tmp_path / "foo_v2.avsc").write_text(
        '{"type": "record", "name": "Foo", "fields": [{"name": "a", "type": "string"}]}'
    )
    with pytest.raises(SettingsError) as raised:
        add_records(tmp_path)
    assert str(raised.value).replace(f"{tmp_path}/", "").splitlines() == [
        "bar.avsc: the schema of a record type is named NAME_v2.avsc",
        "baz_v2.profile.toml: there is no baz_v2.avsc beside it",
        "foo_v2.avsc: there is no foo_v2.profile.toml beside it",
        f"trade_v2.avsc: there is a record type 'trade' already: {resources.schemas_folder()}/trade_v2.avsc",
    ]
    assert "foo" not in known_records()


@pytest.mark.parametrize("text", ["plural = ", "\xff", "plural = 'a'\nplural = 'b'"])
def test_a_profile_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "stick_v2.avsc").write_text((SCHEMAS / "kline_v2.avsc").read_text())
    (tmp_path / PROFILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=PROFILE):
        add_records(tmp_path)


def test_the_page_explains_every_key_and_its_example_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-record-type.md").read_text()
    assert {one.name for one in dataclasses.fields(Profile)} <= set(re.findall(r"`([a-z_]+)`", page))
    assert {*ENGINE_KINDS} <= set(re.findall(r"`([a-z_]+)`", page))
    (shown,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / PROFILE).write_text(shown)
    shipped = load_record("candle")
    profile = read_profile(tmp_path / PROFILE, tmp_path / SCHEMA, shipped.schema)
    assert profile == shipped.profile


def test_what_belongs_together_in_a_profile(tmp_path: Path) -> None:
    def change(profile: dict[str, Any], fields: list[dict[str, Any]]) -> None:
        profile |= {"begin": "open_time", "closed": "open", "key": ["high"], "id": "interval", "interval": "is_closed"}

    assert wrong(tmp_path, change) == [
        f"{PROFILE}: end: is missing: interval, begin, end belong together",
        f"{PROFILE}: key: records have an id of the venue's or a key, not both",
        f"{PROFILE}: key: 'high' is decimal, not string or int or long or date or timestamp-micros or timestamp-millis",
        f"{PROFILE}: interval: 'is_closed' is boolean, not string",
        f"{PROFILE}: closed: 'open' is decimal, not boolean",
    ]


def test_states_need_a_key(tmp_path: Path) -> None:
    assert wrong(tmp_path, lambda profile, fields: profile.update(closed="is_closed")) == [
        f"{PROFILE}: closed: only records with a key have states: say `key`"
    ]


# -- connector files that are wrong about such a type

FILE = CONNECTOR.read_text()
WRONG = [
    ("is_closed: x", "is_closed: [x]", "type", "must be text or a map, not a list", "is_closed"),
    ("is_closed: x", "is_closd: x", "unknown-field",
     "'is_closd' is no field of the kline record; did you mean 'is_closed'", "is_closd"),
    ("is_closed: x", "is_closed: {from: x, map: {Y: 1}}", "type", "must be true or false, not 1", "map"),
    ("is_closed: x", "is_closed: {from: x, scale: 2}", "unknown-key", "unknown key 'scale'", "scale"),
    ("is_closed: x", "is_closed: {value: 1}", "type", "must be true or false, not 1", "value"),
    ("is_closed: x", "{}", "unmapped-field", "the kline record needs 'is_closed': say where it comes from", "fields"),
    ("open_time: {from: t, unit: ms}", "open_time: t", "time-unit", "a time says its unit", "open_time"),
    ("day: {from: day, unit: iso8601}", "day: day", "time-unit", "a time says its unit", "day"),
    ("open: o", "open: {from: o, unit: ms}", "unknown-key", "unknown key 'unit'", "unit"),
    ("phase: phase", "phase: {from: f, map: {x: AJAR}}", "side-map", "'AJAR' is no phase; known: OPEN, CLOSED", "x"),
    ("phase: phase", "phase: {value: AJAR}", "side-map", "'AJAR' is no phase; known: OPEN, CLOSED", "value"),
    ("phase: phase", "phase: {from: f, invert_when: {a: 1}}", "unknown-key", "unknown key 'invert_when'",
     "invert_when"),
    ("phase: phase", "phase: {from: f, absent: null}", "side-map", "'null' is no phase", "absent"),
    ("facts: facts", "facts: {a: b}", "missing", "'from' is missing", "facts"),
    ("small: small", "small: {value: 3000000000}", "value", "does not fit 32 bits", "value"),
    ("    when: {ch: kline}\n", "    when: {ch: kline}\n    carry: {per: symbol}\n", "value",
     "nothing to carry: each kline record stands for itself", "carry"),
    ("    when: {ch: kline}\n", "    when: {ch: kline}\n    identity: [open_tme]\n", "unknown-field",
     "'open_tme' is no mapped field; did you mean 'open_time'", "0"),
    ("    when: {ch: kline}\n", "    when: {ch: kline}\n    backfill: {http: 'GET https://x.example/'}\n", "value",
     "only records with an id of the venue's can be told apart: a kline has none", "backfill"),
    ("asset_class: crypto\n", "asset_class: futures\n", "value",
     "'futures' is no asset class of the kline record; known: crypto, equities", "kline"),
    ("symbol: s\n      interval", "symbol: s\n      exchange: e\n      interval", "unknown-field",
     "'exchange' is filled by the engine: take it out", "exchange"),
    ("symbol: s\n      interval", "symbol: s\n      currency: e\n      interval", "unknown-field",
     "'currency' is no field of the kline record", "currency"),
]


@pytest.mark.parametrize(("old", "new", "code", "text", "place"), WRONG, ids=[one[1].strip()[:40] for one in WRONG])
def test_what_is_wrong_in_a_connector_file_has_its_place(old: str, new: str, code: str, text: str, place: str) -> None:
    assert old in FILE
    changed = FILE.replace(old, "" if new == "{}" else new, 1).partition("\ntests:")[0]
    plan, problems = check_text("example.yaml", changed, Path())
    assert plan is None
    (problem,) = [one for one in problems if one.code == code and text in one.text] or problems
    assert (problem.code, text in problem.text) == (code, True), problem
    assert changed.splitlines()[problem.line - 1][problem.column - 1 :].startswith(place) or place in problem.path


def test_a_type_without_an_id_says_what_tells_records_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_ADDED", {})
    (tmp_path / "stick_v2.avsc").write_text((SCHEMAS / "kline_v2.avsc").read_text())
    profile = (SCHEMAS / "kline_v2.profile.toml").read_text()
    (tmp_path / PROFILE).write_text("\n".join(one for one in profile.splitlines() if not one.startswith("identity")))
    add_records(tmp_path)
    text = FILE.partition("  status:")[0].replace("kline:\n", "stick:\n").replace("[kline, status, sample]", "stick")
    _, (problem,) = check_text("example.yaml", text, Path())
    assert problem.text == (
        "the stick record has no id of the venue's: say what tells records apart, `identity: [...]`"
    )
    said = text.replace("    each: data\n", "    each: data\n    identity: [open_time]\n")
    plan, problems = check_text("example.yaml", said, Path())
    assert problems == []
    assert plan is not None
    assert plan.streams[0].identity == ("open_time",)


def test_what_the_record_has_no_place_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_ADDED", {})
    schema = json.loads((SCHEMAS / "kline_v2.avsc").read_text())
    schema["fields"][-1] = {"name": "raw", "type": ["null", "bytes"], "default": None}
    (tmp_path / "stick_v2.avsc").write_text(json.dumps(schema))
    (tmp_path / PROFILE).write_text((SCHEMAS / "kline_v2.profile.toml").read_text().replace(', "vendor_data"', ""))
    add_records(tmp_path)
    text = FILE.partition("  status:")[0].replace("kline:\n", "stick:\n").replace("[kline, status, sample]", "stick")
    plan, problems = check_text("example.yaml", text, Path())
    assert problems == []
    assert plan is not None
    (record,) = intake_of(plan).receive([json.dumps({"ch": "kline", "data": [KLINE]})], 0.0, 1)[0]
    assert record.schema is not None
    assert record.schema.decode_plain(record.value)["raw"] is None
    said = text.replace("      symbol: s\n", "      symbol: s\n      raw: r\n") + "    vendor_data: [a]\n"
    plan, problems = check_text("example.yaml", said, Path())
    assert [(one.code, one.text, said.splitlines()[one.line - 1].strip()) for one in problems] == [
        ("value", "nothing fills a field of the kind bytes: take 'raw' out", "raw: r"),
        ("unknown-field", "the stick record has no vendor_data: take it out", "vendor_data: [a]"),
    ]


KLINE = {"s": "BTC-USD", "i": "1m", "t": 1767323040000, "T": 1767323099999, "o": "1", "h": "3", "l": "1", "c": "2",
          "v": "12", "q": "0", "x": True, "not kept": 1}


# -- nobody else knows the types

NAMES = {"trade", "quote", "trades", "quotes", "trade_id", "quote_id", "price", "bid_price", "ask_price", "quantity",
         "bid_quantity", "ask_quantity", "trade_conditions", "source_sequence"}
DRAFTS = ("tools/drafting/", "cli/new.py")
"""`k2conn new` guesses trades and quotes from frames: it is about these two."""
SUMS = (
    "audit/", "candles/", "cli/audit.py", "cli/candles.py", "compiler/sections/audits.py", "plan/audit.py",
    "anomalies/", "features/", "runner/audit_stage.py", "runner/candle_stage.py", "runner/feature_stage.py",
    "tools/trade_files.py",
)
"""Candles of trades, what compares the two, features of candles and quotes: they are about these."""
OTHERWISE = {
    ("records/reading.py", "price"): "a key of profiles",
    ("tools/mock/field_detection.py", "price"): "a role",
    ("sinks/postgres/migrating.py", "quote"): "views over quotes are made by a migration, which names their table",
    ("compiler/sections/symbols.py", "quote"): "a symbol's part",
    ("compiler/sections/instruments.py", "quote"): "a symbol's part",
    ("compiler/sections/instruments.py", "quotes"): "quote currencies",
    ("compiler/sections/instrument_lists.py", "quote"): "a symbol's part",
    ("engine/instrument_list.py", "quote"): "the same",
    ("cli/instrument_text.py", "quote"): "the same",
    ("cli/symbols.py", "quote"): "the same",
    ("compiler/expressions/templates.py", "quote"): "a symbol's part",
    ("tools/mock/template_matching.py", "quote"): "a symbol's part",
    ("api/routes/stream.py", "trades"): "what is listened for where nothing is said",
    ("api/openapi.py", "quantity"): "what was traded on a day is about trades",
    ("api/openapi.py", "trades"): "the same",
    ("api/routes/summary.py", "trades"): "the same",
    ("api/stores/lake.py", "quantity"): "the same",
    ("api/stores/lake.py", "trades"): "the same",
    ("api/stores/postgres.py", "quantity"): "the same",
    ("api/stores/postgres.py", "trades"): "the same",
    ("api/stores/traded.py", "price"): "the same",
    ("api/stores/traded.py", "quantity"): "the same",
    ("api/wire.py", "quantity"): "the same",
    ("api/wire.py", "trades"): "the same",
    ("cli/demo_lake.py", "quotes"): "what the demo asks its lake",
    ("cli/demo_lake.py", "trades"): "the same",
    ("cli/dictionary.py", "trade"): "comes first on the page",
    ("cli/query.py", "trades"): "what shortcuts ask for where nothing is said",
    ("cli/query.py", "trade_conditions"): "a column that a narrow table leaves out early",
    ("tools/mock/tape.py", "trade"): "what the made-up venue of a tape calls its only channel",
    ("tools/certify/committed_books.py", "trade"): "what is proven is about a tape's trades and their numbers",
    ("tools/certify/committed_books.py", "source_sequence"): "the same",
    ("compiler/sections/steps.py", "trade"): "an example in a message where no stream is declared",
}


def test_no_source_file_knows_a_record_type_by_name() -> None:
    found = []
    for path in sorted((ROOT / "k2conn").rglob("*.py")):
        name = path.relative_to(ROOT / "k2conn").as_posix()
        if name.startswith((*DRAFTS, *SUMS)):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in NAMES and (name, node.value) not in OTHERWISE:
                found.append(f"{name}:{node.lineno}: {node.value}")
    assert found == []
