"""Revisions: a record type that has grown. Each revision holds all that the one before it holds, in the same order, so
that readers of a later one take every earlier record.

``trade_v2.avsc`` is the first, ``trade_v2.2.avsc`` beside it the second. Avro writes all fields of a schema, so a
stream is written in the earliest revision that has what its connector file uses: nobody's bytes change because others
need more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from k2conn.avro import RecordSchema, SchemaField
from k2conn.records.profile import Profile
from k2conn.resources import RECORD

_LISTS = tuple(one.name for one in fields(Profile) if one.name == "engine" or one.default == ())
_TEXTS = tuple(one.name for one in fields(Profile) if one.default is None)
"""What in a profile names fields: several, or one that a type need not have."""


def revision_files(first: Path) -> list[Path]:
    """The schema files of a record type, by the file of its first revision: that one, and those that follow."""
    found = [first]
    while (path := _revision_file(first, len(found) + 1)).is_file():
        found.append(path)
    return found


def unreachable_revisions(first: Path) -> list[Path]:
    """Files that look like revisions of a record type and follow none: a number is missing before them."""
    stem = first.name.removesuffix(".avsc")
    return sorted(set(first.parent.glob(f"{stem}.*.avsc")) - set(revision_files(first)))


def is_revision_file(path: Path) -> bool:
    """Whether a file is named as a later revision is."""
    stem, _, number = path.name.removesuffix(".avsc").rpartition(".")
    return number.isdecimal() and f"{stem}.avsc".endswith(RECORD)


def _revision_file(first: Path, number: int) -> Path:
    return first.with_name(f"{first.name.removesuffix('.avsc')}.{number}.avsc")


def growth_problems(before: RecordSchema, after: RecordSchema) -> list[str]:
    """Why a schema is no later revision of the one before it; a line each, none where it is one."""
    if after.full_name != before.full_name:
        return [f"is named {after.full_name}, not {before.full_name}"]
    names = [field.name for field in before.fields]
    if [field.name for field in after.fields[: len(names)]] != names:
        return [f"does not begin with the fields of the revision before it: {', '.join(names)}"]
    problems = []
    for own, earlier in zip(after.fields, before.fields, strict=False):
        if text := _changed(earlier, own):
            problems.append(f"schema field {own.name}: {text}")
    problems += [f"schema field {field.name}: is new, and so has a default" for field in after.fields[len(names):]
                 if not field.has_default]
    return problems


def _changed(before: SchemaField, after: SchemaField) -> str:
    if (after.kind, after.precision, after.scale) != (before.kind, before.precision, before.scale):
        return "is of another type than before"
    if before.nullable and not after.nullable:
        return "may be null before"
    if before.nullable and before.null_first != after.null_first:
        return "has its union in another order than before"
    if after.nullable and not before.nullable and not after.has_default:
        return "may be null from now on, and so has a default"
    if after.symbols[: len(before.symbols)] != before.symbols:
        return f"does not begin with the names it had before: {', '.join(before.symbols)}"
    return ""


def earlier_profile(latest: Profile, schema: RecordSchema, newest: RecordSchema) -> Profile:
    """The profile of an earlier revision: without what only later ones have."""
    own = {field.name: field for field in schema.fields}
    said = {field.name: field.has_default for field in newest.fields}
    said_here: dict[str, Any] = {
        **{key: tuple(name for name in getattr(latest, key) if name in own) for key in _LISTS},
        **{key: getattr(latest, key) if getattr(latest, key) in own else None for key in _TEXTS},
    }
    defaults = {name: value for name, value in latest.defaults.items()
                if name in own and (own[name].has_default or not said[name])}
    return replace(latest, **said_here, defaults=defaults)


def once_required(schemas: Sequence[RecordSchema], at: int) -> frozenset[str]:
    """The fields that may be null in a revision and never were in the first one that has them."""
    first = {field.name: field for schema in reversed(schemas[: at + 1]) for field in schema.fields}
    return frozenset(field.name for field in schemas[at].fields if field.nullable and not first[field.name].nullable)
