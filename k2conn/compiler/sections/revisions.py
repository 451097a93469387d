"""Which revision of its record type a stream is written in: the earliest that has what the file uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from k2conn.records import RecordType, earliest_revision


def used_revision(name: str, stream: Mapping[str, Any], asset_classes: Iterable[str]) -> RecordType:
    """The record type of a stream as the file has it; ``asset_classes`` are those of the connector."""
    maps = list(_maps(stream))
    fields = {name for one in maps for name in one}
    null = {name for one in maps for name in one if says_null(one[name])}
    return earliest_revision(name, fields, asset_classes, null)


def says_null(said: Any) -> bool:
    """Whether a field's entry says that it may be null: `{from: ..., absent: null}`, or `{value: null}`."""
    return isinstance(said, Mapping) and any(key in said and said[key] is None for key in ("absent", "value"))


def _maps(stream: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The `fields` of a stream, and those of its backfills: all of its records are of one revision."""
    backfill = stream.get("backfill")
    for one in (stream, *(backfill if isinstance(backfill, list) else [backfill])):
        found = one.get("fields") if isinstance(one, Mapping) else None
        if isinstance(found, Mapping):
            yield found
