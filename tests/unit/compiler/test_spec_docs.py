"""docs/spec.md and the JSON Schema: every word is described in both, and every fragment is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.compiler.expressions.closures import VARIABLES
from k2conn.compiler.expressions.functions import NAMES as FUNCTIONS
from k2conn.compiler.expressions.templates import NAMES as PLACEHOLDERS
from k2conn.resources import schemas_folder
from tests.paths import ROOT
from tests.unit.compiler.test_bad_specs import CODES

DOCS = (ROOT / "docs" / "spec.md").read_text()
SCHEMA = exactjson.decode((schemas_folder() / "connector.schema.json").read_bytes())
FRAGMENTS = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
REST = {
    "connector": "connector: example",
    "exchange": "exchange: EXAMPLE",
    "asset_class": "asset_class: crypto",
    "docs": "docs: https://docs.example.com",
    "symbols": 'symbols: {default: [BTCUSD], form: "{base}{quote}", quotes: [USD, USDT]}',
    "connection": "connection: {url: wss://ws.example.com}",
    "streams": (
        "streams: {trade: {when: {e: trade}, fields: {symbol: s, trade_id: t, price: p, quantity: q,"
        " timestamp: {from: T, unit: ms}, side: {value: UNKNOWN}}}}"
    ),
}


def properties(node: Any, path: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every property of the schema: where, its name, and what is said of it."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            for name, said in node["properties"].items():
                yield path, name, said
        for key, inner in node.items():
            yield from properties(inner, f"{path}/{key}")
    elif isinstance(node, list):
        for at, inner in enumerate(node):
            yield from properties(inner, f"{path}/{at}")


def test_every_property_has_hover_text() -> None:
    missing = [f"{path}.{name}" for path, name, said in properties(SCHEMA) if len(said.get("description", "")) < 8]
    assert missing == []


def test_every_property_is_closed_or_says_why() -> None:
    """An unknown key is a problem wherever keys are words of the language; `fields` are the record's matter, further
    keys of a `codec` its codecs'.
    """
    open_maps = []
    known = ("/$defs/fields", "/$defs/codec/anyOf/1", "/$defs/codec/anyOf/1/properties/layout")

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            if "properties" in node and node.get("additionalProperties") is not False and path not in known:
                open_maps.append(path)
            for key, inner in node.items():
                walk(inner, f"{path}/{key}")
        elif isinstance(node, list):
            for at, inner in enumerate(node):
                walk(inner, f"{path}/{at}")

    walk(SCHEMA, "")
    assert open_maps == []


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_word_is_in_the_reference() -> None:
    words = set(re.findall(r"`([a-z_]+)`", DOCS)) | set(re.findall(r"`(\$[a-z_]+)", DOCS))
    assert {name for _, name, _ in properties(SCHEMA)} - words == set()
    assert {f"${name}" for name in (*PLACEHOLDERS, *VARIABLES)} - words == set()


def test_every_allowed_value_is_in_the_reference() -> None:
    def values(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (one for key in ("enum", "examples") for one in node.get(key, ()) if isinstance(one, str))
            yield from [node["const"]] if isinstance(node.get("const"), str) else []
            for inner in node.values():
                yield from values(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from values(inner)

    def written(value: str) -> str:
        return value if value.isprintable() else "".join(f"\\u{ord(one):04X}" for one in value)

    assert [value for value in values(SCHEMA) if written(value) not in DOCS] == []


def test_every_problem_code_is_in_the_reference() -> None:
    table = DOCS.split("## Problems")[1]
    assert {*CODES, "limit", "example"} == set(
        re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\|([^|]*)\|", table, re.M)))
    ) - {"code"}


def test_functions_in_the_reference_exist() -> None:
    used = set(re.findall(r"\b([a-z_]+)\((?=[a-z$@&])", DOCS))
    assert used - set(FUNCTIONS) - {"decimal"} == set()


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=range(len(FRAGMENTS)))
def test_every_fragment_is_right(fragment: str) -> None:
    said = set(re.findall(r"^([a-z_]+):", fragment, re.M))
    skipped = {"connection"} if "connections" in said else set()
    text = "\n".join(line for key, line in REST.items() if key not in said | skipped) + "\n" + fragment
    assert [str(problem) for problem in check_text("example.yaml", text, ROOT)[1]] == []


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", DOCS, re.M)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCS)) - anchors == set()
