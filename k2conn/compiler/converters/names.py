"""Values that are looked up in a table: the names of an enum, and booleans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.sides import side_table
from k2conn.errors import RecordError


def named(values: Mapping[str, str]) -> Callable[[Any], str]:
    """A converter to the name that stands for a value; keys are in JSON spelling (``true``, ``1``, ``open``). Raises
    RecordError for a value that the table does not know.
    """
    return _looked_up(values, f"one of {', '.join(dict.fromkeys(values))}")


def truth(values: Mapping[str, bool]) -> Callable[[Any], bool]:
    """The same to true or false."""
    return _looked_up(values, " or ".join(values))


def _looked_up(values: Mapping[str, Any], wanted: str) -> Callable[[Any], Any]:
    table = side_table(values)

    def look_up(value: Any) -> Any:
        kind = type(value)
        found = table.get(value if kind is str or kind is bool else exactjson.spell(value)) if value != "" else None
        if found is not None:
            return found
        if value is None or value == "":
            raise RecordError(None, None, None, "missing-field", "the value is missing")
        raise RecordError(None, None, None, "bad-type", f"{exactjson.excerpt(value, 40)} is not {wanted}")

    return look_up
