"""How the shipped connectors read their venues' names: base, quote, currency, and what is nobody's name, by a table.

``symbols.yaml`` has names for every form and every currency. That none is missing there is tested too: what a
file declares is left out piece by piece, and each time some name must be read otherwise.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.errors import SettingsError
from k2conn.plan import Plan, Symbol
from k2conn.resources import connectors_folder
from k2conn.runner.wanted_symbols import resolve
from tests.support.shipped import load


def read_file(path: Path) -> Any:
    """What is in a YAML file, by libyaml: in Python alone it takes ten times as long."""
    return yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


TABLE: dict[str, dict[str, Any]] = read_file(Path(__file__).with_name("symbols.yaml"))
NAMES = sorted(path.stem for path in connectors_folder().glob("*.yaml"))

SAME = [
    ("bitget", "bitget-v2"), ("coinbase", "coinbase-advanced"), ("gemini", "gemini-v1"), ("kraken", "kraken-v1"),
    ("woo-x-futures", "woo-x-v1-futures"),
]
"""Two protocols for the same books: they read the same names in the same way."""

AMONG = [
    ("ascendex-futures", "ascendex"), ("bitflyer-cfd", "bitflyer"), ("crypto-com-derivatives", "crypto-com"),
    ("deribit-options", "deribit"), ("htx-dm", "htx"), ("okx-futures", "okx"), ("okx-options", "okx"),
    ("okx-swap", "okx"), ("phemex-futures", "phemex"), ("woo-x-v1-futures", "woo-x-v1"),
]
"""A connector for one market, and the one that reads all markets of the same socket."""


def told(symbol: Symbol | None, plan: Plan) -> dict[str, str] | None:
    """What a symbol says of a name, without what is as it mostly is."""
    if symbol is None:
        return None
    said = {"base": symbol.base, "quote": symbol.quote, "currency": symbol.price_currency, "record": symbol.record}
    return {**said, "asset_class": symbol.asset_class or plan.asset_class, **dict(symbol.parts)}


def expected(row: list[Any], plan: Plan) -> dict[str, str]:
    base, quote, *more = row
    usual = {"base": base, "quote": quote, "currency": quote, "record": base + quote, "asset_class": plan.asset_class}
    return {**usual, **(more[0] if more else {})}


def read(symbols: dict[str, Any], name: str) -> dict[str, Any] | None:
    """What a symbols section makes of all names of a connector; None where it does not compile."""
    spec = {
        "connector": name, "exchange": "VENUE", "asset_class": load(name).asset_class,
        "docs": "https://docs.example.com", "symbols": symbols, "connection": {"url": "wss://ws.example.com"},
        "streams": {"trade": {"when": {"e": "t"}, "fields": {
            "symbol": "s", "trade_id": "t", "price": "p", "quantity": "q", "timestamp": {"from": "T", "unit": "ms"},
            "side": {"value": "UNKNOWN"}}}},
    }
    if "form" not in symbols:  # then the list alone says what names mean
        spec["tests"] = shown(name)
    plan, _ = check_text(f"{name}.yaml", exactjson.encode(spec).decode(), Path())
    if plan is None:
        return None
    return {native: told(plan.symbols.resolve(native), plan) for native in natives(name)}


@cache
def shown(name: str) -> list[dict[str, Any]]:
    """What the file's tests show of the venue's list."""
    said = read_file(connectors_folder() / f"{name}.yaml")
    return [{"name": one["name"], "list": one["list"]} for one in said["tests"] if "list" in one]


def natives(name: str) -> list[str]:
    return [*TABLE[name]["reads"], *TABLE[name]["refused"]]


def section(name: str) -> dict[str, Any]:
    said: dict[str, Any] = read_file(connectors_folder() / f"{name}.yaml")["symbols"]
    return said


def test_the_table_is_about_every_connector() -> None:
    assert sorted(TABLE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_connector_reads_its_names(name: str) -> None:
    plan = load(name)
    wanted = {native: expected(row, plan) for native, row in TABLE[name]["reads"].items()}
    found = {native: told(plan.symbols.resolve(native), plan) for native in wanted}
    assert found == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_connector_refuses_what_is_no_name_of_its_venue(name: str) -> None:
    plan = load(name)
    assert [native for native in TABLE[name]["refused"] if plan.symbols.resolve(native)] == []
    for native in TABLE[name]["refused"]:
        with pytest.raises(SettingsError) as refusal:
            resolve(plan, (native,))
        assert f"this venue writes them like {plan.symbols.default[0]}" in str(refusal.value)


def test_every_default_symbol_is_in_the_table_or_of_a_form_that_is() -> None:
    for name in NAMES:
        assert all(load(name).symbols.resolve(native) for native in load(name).symbols.default), name


def _without(symbols: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The section again and again, each time without one thing that it declares."""
    forms = symbols.get("form", [])
    if isinstance(forms, list):
        for at, form in enumerate(forms):
            yield f"form {form}", {**symbols, "form": forms[:at] + forms[at + 1 :]}
            for word in ("record", "asset_class", "currency", "overrides", "parts") if isinstance(form, dict) else ():
                if word in form:
                    less = {key: value for key, value in form.items() if key != word}
                    yield f"{word} of {form['form']}", {**symbols, "form": [*forms[:at], less, *forms[at + 1 :]]}
    for word in ("quotes", "aliases", "table", "parts"):
        for key in list(symbols.get(word, ())):
            less = copy.deepcopy(symbols)
            if isinstance(less[word], list):
                less[word].remove(key)
            else:
                del less[word][key]
            if not less[word]:
                del less[word]
            yield f"{key} of {word}", less
    for word in ("record",):
        if word in symbols:
            yield word, {key: value for key, value in symbols.items() if key != word}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_a_file_declares_of_its_names_goes_untested(name: str) -> None:
    symbols = section(name)
    symbols["default"] = symbols["default"][:1]
    whole = read(symbols, name)
    assert whole is not None
    untested = []
    for what, less in _without(symbols):
        found = read(less, name)
        if found == whole:
            untested.append(what)
    assert untested == []


OTHER_VENUES = {"binance-us", "binance-tr"}
"""Venues of their own, with other markets, though they share a name."""


def _families() -> dict[str, list[str]]:
    """The connectors of one venue: those of one first name, such as okx, okx-swap and okx-options."""
    found: dict[str, list[str]] = {}
    for name in (one for one in NAMES if one not in OTHER_VENUES):
        first = next(one for one in NAMES if name == one or name.startswith(f"{one}-"))
        found.setdefault(first, []).append(name)
    return {first: names for first, names in found.items() if len(names) > 1}


@pytest.mark.parametrize("first", sorted(_families()))
def test_connectors_of_one_venue_agree_on_what_both_read(first: str) -> None:
    """Base, quote and currency always; our spelling and the parts where the asset class is the same."""
    plans = [load(name) for name in _families()[first]]
    names = dict.fromkeys(native for plan in plans for native in natives(plan.name))
    wrong = []
    for one, other in itertools.combinations(plans, 2):
        for native in names:
            a, b = told(one.symbols.resolve(native), one), told(other.symbols.resolve(native), other)
            if a is None or b is None:
                continue
            shared = a.keys() if a["asset_class"] == b["asset_class"] else ("base", "quote", "currency")
            if any(a[key] != b.get(key) for key in shared):
                wrong.append(f"{native}: {one.name} {a}, {other.name} {b}")
    assert wrong == []


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_protocols_of_the_same_markets_read_the_same_names(one: str, other: str) -> None:
    first, second = ({key: value for key, value in section(name).items() if key != "default"} for name in (one, other))
    assert first == second
    assert {native.upper() for native in TABLE[one]["reads"]} == {native.upper() for native in TABLE[other]["reads"]}


@pytest.mark.parametrize(("one", "whole"), AMONG)
def test_a_connector_that_reads_all_markets_reads_those_of_one(one: str, whole: str) -> None:
    part, all_of = load(one), load(whole)
    for native in TABLE[one]["reads"]:
        assert told(all_of.symbols.resolve(native), all_of) == told(part.symbols.resolve(native), part), native
