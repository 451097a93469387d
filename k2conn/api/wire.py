"""How records are said in JSON: decimals as text, times in ISO 8601 with microseconds; and the schema of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from k2conn.api.asked import Row
from k2conn.api.store import Counted, KnownSymbol, Traded
from k2conn.avro import SchemaField, plain_text
from k2conn.records import RecordType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE = datetime(1970, 1, 1)  # of UTC, too: its text is made in a fifth of the time
DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"


def time_text(micros: int) -> str:
    """``2026-01-02T03:04:05.678901Z``."""
    return (_NAIVE + timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"


class Wording:
    """The JSON of one record type."""

    def __init__(self, record: RecordType) -> None:
        self._names = [one.name for one in record.schema.fields]
        self._words = [(one.name, _WORDS[one.kind]) for one in record.schema.fields if one.kind in _WORDS]

    def document(self, row: Row) -> dict[str, Any]:
        """What a record is in JSON; a field that its store does not have is null."""
        found = {name: row.get(name) for name in self._names}
        for name, word in self._words:
            value = found[name]
            if value is not None:
                found[name] = word(value)
        return found


_WORDS: Mapping[str, Callable[[Any], Any]] = {
    "decimal": plain_text,
    "timestamp-micros": time_text,
    "timestamp-millis": lambda millis: time_text(millis * 1000),
    "date": lambda day: (date(1970, 1, 1) + timedelta(days=day)).isoformat(),
    "bytes": bytes.hex,
    "array<string>": list,
    "map<string>": dict,
}

_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "pattern": "^([0-9a-f]{2})*$"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer"},
    "long": {"type": "integer", "format": "int64"},
    "timestamp-micros": {"type": "string", "format": "date-time"},
    "timestamp-millis": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "decimal": {"type": "string", "pattern": DECIMAL},
    "array<string>": {"type": "array", "items": {"type": "string"}},
    "map<string>": {"type": "object", "additionalProperties": {"type": "string"}},
}


def schema_of(record: RecordType) -> dict[str, Any]:
    """The JSON Schema of a record type's documents."""
    return {
        "type": "object",
        "title": record.name,
        "properties": {one.name: _schema(one) for one in record.schema.fields},
        "required": [one.name for one in record.schema.fields],
        "additionalProperties": False,
    }


def _schema(field: SchemaField) -> dict[str, Any]:
    if field.kind == "enum":
        found: dict[str, Any] = {"type": "string", "enum": list(field.symbols)}
    else:
        found = dict(_SCHEMAS[field.kind])
    if field.nullable:
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found | ({"description": field.doc} if field.doc else {})


def counted(one: Counted) -> dict[str, Any]:
    """How much there is of a type."""
    return {
        "kind": one.kind, "rows": one.rows, "exact": one.exact,
        "first": None if one.first is None else time_text(one.first),
        "last": None if one.last is None else time_text(one.last),
    }


def traded(one: Traded) -> dict[str, Any]:
    """What was traded, at one exchange in one currency."""
    prices = {name: plain_text(getattr(one, name)) for name in ("open", "high", "low", "close", "quantity")}
    return {"exchange": one.exchange, "currency": one.currency, "first": time_text(one.first),
            "last": time_text(one.last), **prices, "trades": one.trades}


def known_symbols(found: Iterable[KnownSymbol]) -> list[dict[str, Any]]:
    """Symbols, each once with the kinds of records that there are of it."""
    symbols: dict[tuple[str, str], dict[str, Any]] = {}
    lasts: dict[tuple[str, str], int] = {}
    for one in found:
        key = (one.symbol, one.exchange)
        entry = symbols.setdefault(key, {
            "symbol": one.symbol, "exchange": one.exchange, "currency": "", "asset_class": "", "kinds": [], "last": "",
        })
        entry["currency"] = entry["currency"] or one.currency
        entry["asset_class"] = entry["asset_class"] or one.asset_class
        if one.kind not in entry["kinds"]:
            entry["kinds"].append(one.kind)
        lasts[key] = max(lasts.get(key, one.last), one.last)
        entry["last"] = time_text(lasts[key])
    return [symbols[key] for key in sorted(symbols)]
