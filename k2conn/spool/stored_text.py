"""What a segment file says of its records' schemas and routes, checked: the file may be damaged, or not ours."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from k2conn.avro import RecordSchema
from k2conn.errors import SettingsError
from k2conn.records import record_revisions
from k2conn.spool.names import TOPIC

LONGEST = 1024
"""Characters of a name or a key's digits."""
SCHEMA_BYTES = 256 * 1024
DEEPEST = 32
PRECISION = 1000
"""Digits of a decimal: checks of a larger one take for ever."""


class StoredRoute(NamedTuple):
    """What the records of one topic, key and account have in common, by its number in the file."""

    id: int
    topic: str
    key: bytes | None
    schema: RecordSchema | None
    stream: str
    symbol: str


def stored_schema(text: Any, known: dict[int, RecordSchema]) -> bool:
    """Adds a schema to those that are ``known`` in its file; False where it is none."""
    try:
        number, name, body = text["id"], text["name"], text["text"]
        if type(number) is not int or type(name) is not str or type(body) is not str or len(body) > SCHEMA_BYTES:
            return False
        if number not in known:
            known[number] = _schema(name, body)
    except (KeyError, TypeError, SettingsError):
        return False
    return True


def stored_route(text: Any, schemas: dict[int, RecordSchema]) -> StoredRoute | None:
    """The route; None where it is none, or its schema was lost."""
    try:
        number, topic, key, schema = text["id"], text["topic"], text["key"], text["schema"]
        stream, symbol = text["stream"], text["symbol"]
        digits = "" if key is None else key
        names = [topic, digits, stream, symbol]
        if type(number) is not int or not all(type(one) is str and len(one) <= LONGEST for one in names):
            return None
        if not TOPIC.fullmatch(topic) or topic in (".", ".."):
            return None
        known = None if schema is None else schemas[schema]
        return StoredRoute(number, topic, None if key is None else bytes.fromhex(key), known, stream, symbol)
    except (KeyError, TypeError, ValueError):
        return None


@lru_cache(256)
def _schema(name: str, text: str) -> RecordSchema:
    """The schema a record was written with: ours where it still is the same, else as it was then."""
    try:
        ours = next((one.schema for one in record_revisions(name) if one.schema.text == text), None)
    except SettingsError:
        ours = None
    return ours or _foreign(name, text)


def _foreign(name: str, text: str) -> RecordSchema:
    """A schema that is in the file only; SettingsError where it is none, or none that can be checked in a moment."""
    try:
        if not _sane(json.loads(text)):
            raise SettingsError("no schema of ours")
        return RecordSchema(name, text)
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # All that a value of another type than a schema has there can lead to.
        raise SettingsError(f"no record schema: {type(error).__name__}") from None




def _sane(value: Any, depth: int = 0) -> bool:
    if depth > DEEPEST:
        return False
    if isinstance(value, dict):
        precision = value.get("precision", 0)
        return type(precision) is int and precision <= PRECISION and all(
            _sane(one, depth + 1) for one in value.values()
        )
    return not isinstance(value, list) or all(_sane(one, depth + 1) for one in value)
