"""A record on one line, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2conn import exactjson

_ELSEWHERE = ("message_id", "exchange", "symbol", "asset_class", "connector", "schema_version", "vendor_data")
"""Fields that the line has elsewhere, or that say nothing new."""


def record_text(record: Mapping[str, Any]) -> str:
    """Its fields that say something, as ``name=value``."""
    shown = {name: value for name, value in record.items() if name not in _ELSEWHERE and value is not None}
    return " ".join(f"{name}={exactjson.spell(value)}" for name, value in shown.items())
