"""What the OpenAPI document says of answers: schemas that follow from the record types, and problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from k2conn.api import problems as said
from k2conn.api.wire import DECIMAL, schema_of
from k2conn.records import RecordType

TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
COUNTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string"},
        "rows": {"type": "integer", "minimum": 0},
        "exact": {"type": "boolean", "description": "False where the number is the database's own estimate."},
        "first": TIME_OR_NULL, "last": TIME_OR_NULL,
    },
    "required": ["kind", "rows", "exact", "first", "last"],
    "additionalProperties": False,
}
SYMBOL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "symbol": {"type": "string"}, "exchange": {"type": "string"}, "currency": {"type": "string"},
        "asset_class": {"type": "string"}, "kinds": {"type": "array", "items": {"type": "string"}},
        "last": {"type": "string", "format": "date-time"},
    },
    "required": ["symbol", "exchange", "currency", "asset_class", "kinds", "last"],
    "additionalProperties": False,
}
TRADED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "exchange": {"type": "string"}, "currency": {"type": "string"},
        "first": {"type": "string", "format": "date-time"}, "last": {"type": "string", "format": "date-time"},
        **{name: {"type": "string", "pattern": DECIMAL} for name in ("open", "high", "low", "close", "quantity")},
        "trades": {"type": "integer", "minimum": 1},
    },
    "required": ["exchange", "currency", "first", "last", "open", "high", "low", "close", "quantity", "trades"],
    "additionalProperties": False,
}


def schemas(records: dict[str, RecordType]) -> dict[str, Any]:
    """All that others refer to."""
    found = {title_of(record): schema_of(record) for record in records.values()}
    return {**found, "Counted": COUNTED, "Symbol": SYMBOL, "Traded": TRADED, "Problem": said.SCHEMA}


def title_of(record: RecordType) -> str:
    """A record type's name in the document."""
    return "".join(part.title() for part in record.name.split("_"))


def reference(name: str, description: str = "As asked for.") -> dict[str, Any]:
    """An answer that is one of the schemas."""
    return answer({"$ref": f"#/components/schemas/{name}"}, description)


def answer(schema: dict[str, Any], description: str = "As asked for.") -> dict[str, Any]:
    """An answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def page_of(record: RecordType, more: dict[str, Any], batch: bool = False) -> dict[int | str, dict[str, Any]]:
    """A page of records, with further members; ``batch``: a list of lists of them."""
    data: dict[str, Any] = {"type": "array", "items": {"$ref": f"#/components/schemas/{title_of(record)}"}}
    if batch:
        data = {"type": "array", "items": data}
    return {200: answer({"type": "object", "properties": {"data": data, **more}, "required": ["data", *more],
                         "additionalProperties": False})}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, and those of every route."""
    content = {said.TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": said.DETAIL.get(status, HTTPStatus(status).phrase), "content": content}
            for status in sorted({*statuses, 414, 429})}
