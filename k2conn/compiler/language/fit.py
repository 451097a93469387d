"""A fast check whether a document is valid against a JSON Schema.

It knows the keywords that the language's own schema uses, and can only confirm validity: wherever it is not certain,
jsonschema decides (and describes what is wrong). Importing jsonschema takes longer than checking a whole file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from k2conn.compiler.language.durations import out_of_bounds

Schema = Mapping[str, Any]

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, Decimal),
    "boolean": (bool,),
    "null": (type(None),),
}
_SILENT = {"$schema", "$id", "$defs", "title", "description", "examples"}
_DEFINITIONS = "#/$defs/"


def fits(value: Any, schema: Schema) -> bool:
    """True where the value surely fits the schema, which is a whole one (its `$defs` are found in it)."""
    return _fits(value, schema, schema.get("$defs", {}))


def _fits(value: Any, schema: Any, named: Schema) -> bool:
    if isinstance(schema, bool):
        return schema
    return all(
        word in _SILENT or (word in _WORDS and _WORDS[word](value, asked, schema, named))
        for word, asked in schema.items()
    )


def _reference(value: Any, asked: str, _: Schema, named: Schema) -> bool:
    name = asked.removeprefix(_DEFINITIONS)
    return asked.startswith(_DEFINITIONS) and name in named and _fits(value, named[name], named)


def _type(value: Any, asked: Any, _: Schema, __: Schema) -> bool:
    return any(type(value) in _KINDS.get(name, ()) for name in ([asked] if isinstance(asked, str) else asked))


def _properties(value: Any, asked: Schema, _: Schema, named: Schema) -> bool:
    return not isinstance(value, dict) or all(_fits(value[key], asked[key], named) for key in asked if key in value)


def _further(value: Any, asked: Any, schema: Schema, named: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", ())
    return all(_fits(one, asked, named) for key, one in value.items() if key not in known)


def _items(value: Any, asked: Any, _: Schema, named: Schema) -> bool:
    return not isinstance(value, list) or all(_fits(one, asked, named) for one in value)


def _same(value: Any, asked: Any) -> bool:
    """Texts and whole numbers only: the equality of other values is left to jsonschema."""
    return type(value) is type(asked) and type(value) in (str, int) and bool(value == asked)


def _unlike(value: Any, asked: Any, _: Schema, __: Schema) -> bool:
    """`not` is certain in one form only: not this text."""
    return isinstance(asked, dict) and list(asked) == ["const"] and isinstance(asked["const"], str) and (
        value != asked["const"])


def _distinct(values: list[Any]) -> bool:
    """Of texts only, as `_same`."""
    return all(isinstance(one, str) for one in values) and len(set(values)) == len(values)


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    r"""A schema's pattern, in which `$` is the very end; to Python a line feed might follow there."""
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text))


def matches(value: str, pattern: str) -> bool:
    """Whether a text has the form of a schema's pattern."""
    return _pattern(pattern).search(value) is not None


def _bound(kind: type | tuple[type, ...], holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """A keyword that constrains one kind of value and ignores others."""
    return lambda value, asked, schema, named: type(value) is bool or not isinstance(value, kind) or holds(value, asked)


_NUMBERS = (int, Decimal)
_WORDS: dict[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": _reference,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _further,
    "items": _items,
    "anyOf": lambda value, asked, schema, named: any(_fits(value, one, named) for one in asked),
    "not": _unlike,
    "enum": lambda value, asked, schema, named: any(_same(value, one) for one in asked),
    "const": lambda value, asked, schema, named: _same(value, asked),
    "propertyNames": lambda value, asked, schema, named: (
        not isinstance(value, dict) or all(_fits(key, asked, named) for key in value)
    ),
    "required": _bound(dict, lambda value, asked: all(name in value for name in asked)),
    "pattern": _bound(str, matches),
    "measure": _bound(str, lambda value, asked: not out_of_bounds(asked, value)),
    "minLength": _bound(str, lambda value, asked: len(value) >= asked),
    "maxLength": _bound(str, lambda value, asked: len(value) <= asked),
    "minItems": _bound(list, lambda value, asked: len(value) >= asked),
    "maxItems": _bound(list, lambda value, asked: len(value) <= asked),
    "uniqueItems": _bound(list, lambda value, asked: _distinct(value) or not asked),
    "minProperties": _bound(dict, lambda value, asked: len(value) >= asked),
    "maxProperties": _bound(dict, lambda value, asked: len(value) <= asked),
    "minimum": _bound(_NUMBERS, lambda value, asked: value >= asked),
    "exclusiveMinimum": _bound(_NUMBERS, lambda value, asked: value > asked),
    "maximum": _bound(_NUMBERS, lambda value, asked: value <= asked),
}
"""Each keyword: the value, what the keyword asks for, the schema it stands in, the named schemas."""
