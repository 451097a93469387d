"""Protobuf messages as objects, compiled once for each kind of message: what the library's own JSON printer gives for
messages of plain fields (numbers without fractions, text, bytes, truth values, open enumerations, messages, lists), in
a third of its time.

What is left to the library: floating-point numbers, maps, extensions, closed enumerations, enumerations with options,
and its well-known types, which have a JSON of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

Read = Callable[[Any], dict[str, Any]]
_Fields = dict[int, tuple[str, Callable[[Any], Any] | None]]


def plain_reader(kind: Any) -> Read | None:
    """The function from a message of this descriptor to its object; None where the library is needed."""
    found: dict[str, _Fields] = {}
    return _reader(found[kind.full_name]) if _collect(kind, found) else None


def _collect(kind: Any, found: dict[str, _Fields]) -> bool:
    """Takes in a message's fields and those of the messages in it; False where one is not plain."""
    if kind.full_name in found:
        return True
    if kind.full_name.startswith("google.protobuf.") or kind.is_extendable or kind.GetOptions().map_entry:
        return False
    fields = found[kind.full_name] = {}
    for field in kind.fields:
        if field.message_type is not None and not _collect(field.message_type, found):
            return False
        plain, make = _maker(field, found)
        if not plain:
            return False
        fields[field.number] = field.name, _each(make) if _repeated(field) else make
    return True


def _repeated(field: Any) -> bool:
    said = getattr(field, "is_repeated", None)  # the library's older releases have only the label
    return bool(field.label == field.LABEL_REPEATED if said is None else said)


def _maker(field: Any, found: dict[str, _Fields]) -> tuple[bool, Callable[[Any], Any] | None]:
    """Whether a field is plain, and what makes its value, where that is not the library's."""
    kind = field.cpp_type
    if field.message_type is not None:
        return True, _reader(found[field.message_type.full_name])
    if kind == field.CPPTYPE_ENUM:
        values = field.enum_type.values
        plain = not field.enum_type.is_closed and not any(one.has_options for one in values)
        plain = plain and field.enum_type.full_name != "google.protobuf.NullValue"
        return plain, _named({number: one.name for number, one in field.enum_type.values_by_number.items()})
    if kind in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return True, str
    if kind == field.CPPTYPE_STRING:
        return True, _bytes if field.type == field.TYPE_BYTES else None
    return kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32, field.CPPTYPE_BOOL), None


def _reader(fields: _Fields) -> Read:
    def read(message: Any) -> dict[str, Any]:
        found = {}
        for field, value in message.ListFields():
            name, make = fields[field.number]
            found[name] = value if make is None else make(value)
        return found

    return read


def _each(make: Callable[[Any], Any] | None) -> Callable[[Any], list[Any]]:
    return list if make is None else lambda values: [make(one) for one in values]


def _named(names: dict[int, str]) -> Callable[[int], int | str]:
    return lambda value: names.get(value, value)


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()
