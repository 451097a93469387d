"""What a schema that is registered already says of its decimals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def other_decimals(latest: object, schema: str) -> str:
    """The first field whose decimals have another scale in a registry's answer than in our schema, as text; nothing
    where there is none. Another precision is no matter: it does not change what the bytes mean.
    """
    there, ours = _decimals(latest.get("schema") if isinstance(latest, Mapping) else None), _decimals(schema)
    for name, (precision, scale) in there.items():
        if name in ours and ours[name][1] != scale:
            return f"{name} as decimal({precision},{scale})"
    return ""


def _decimals(schema: object) -> dict[str, tuple[Any, Any]]:
    """Precision and scale of a record schema's decimals, by field."""
    try:
        declared = json.loads(schema) if isinstance(schema, str) else None
    except ValueError:
        declared = None
    fields = declared.get("fields") if isinstance(declared, dict) else None
    found = {}
    for field in fields if isinstance(fields, list) else ():
        types = field.get("type") if isinstance(field, dict) else None
        for one in types if isinstance(types, list) else [types]:
            if isinstance(one, dict) and one.get("logicalType") == "decimal":
                found[str(field.get("name"))] = (one.get("precision"), one.get("scale", 0))
    return found
