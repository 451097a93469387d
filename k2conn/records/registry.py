"""Which record types there are: those in ``schemas/`` that ship with k2conn, and those of a folder that was added."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from k2conn.avro import V2, WIDE, DecimalSize, RecordSchema, decimals_used, read_schema, wide_file
from k2conn.errors import SettingsError
from k2conn.records.reading import read_profile
from k2conn.records.record import RecordType
from k2conn.records.revisions import (
    earlier_profile,
    growth_problems,
    is_revision_file,
    once_required,
    revision_files,
    unreachable_revisions,
)
from k2conn.resources import RECORD, add_record_files, record_files, record_files_in

PROFILE = ".profile.toml"
"""The suffix of a profile's file name, in place of the schema's ``.avsc``."""


def known_records(made_by: str | None = None) -> tuple[str, ...]:
    """The short names of all record types, sorted; ``made_by``: only those of ``connectors``, or of the ``engine``."""
    names = sorted(record_files())
    return tuple(name for name in names if made_by in (None, load_record(name).profile.made_by))


def load_record(name: str, revision: int = 0) -> RecordType:
    """The record type of that short name, read once: a ``revision`` of it (1 is the first), or the latest, which has
    all that any record of the type can have. SettingsError where there is none, or where its files are wrong: then with
    all their problems, a line each.
    """
    found = record_revisions(name)
    if revision > len(found):
        raise SettingsError(f"record type {name!r} has {len(found)} revisions, not {revision}")
    return found[revision - 1]


def record_revisions(name: str) -> tuple[RecordType, ...]:
    """All revisions of a record type, the first one first; SettingsError as `load_record`."""
    path = record_files().get(name)
    if path is None:
        raise SettingsError(f"no record type {name!r}; known are {', '.join(sorted(record_files()))}")
    return _read(name, path, decimals_used())


def earliest_revision(
    name: str, fields: Iterable[str] = (), asset_classes: Iterable[str] = (), null: Iterable[str] = ()
) -> RecordType:
    """The earliest revision that has these fields and knows these asset classes, and in which the fields ``null`` may
    be null; what no revision has makes no difference. SettingsError as `load_record`.
    """
    revisions = record_revisions(name)
    wanted = [
        {one for one in wanted if one in holds(revisions[-1])}
        for wanted, holds in ((set(fields), _names), (set(asset_classes), _asset_classes), (set(null), _nullable))
    ]
    return next(
        one for one in revisions
        if all(need <= holds(one) for need, holds in zip(wanted, (_names, _asset_classes, _nullable), strict=True))
    )


def earlier_schemas(schema: RecordSchema) -> tuple[RecordSchema, ...]:
    """The schemas that one has grown from, the first one first; none where it is of no revision of ours."""
    found = revision_of(schema) if schema.name in record_files() else None
    return () if found is None else tuple(one.schema for one in record_revisions(schema.name)[: found.revision - 1])


def _names(record: RecordType) -> set[str]:
    return {field.name for field in record.schema.fields}


def _nullable(record: RecordType) -> set[str]:
    return {field.name for field in record.schema.fields if field.nullable}


def _asset_classes(record: RecordType) -> set[str]:
    return {one for field in record.schema.fields if field.name == "asset_class" for one in field.symbols}


def revision_of(schema: RecordSchema) -> RecordType | None:
    """The revision whose records a schema is of; None where it is none of this process: an earlier version of k2conn
    may have left it, or one with other decimals. SettingsError where there is no such record type.
    """
    revisions = record_revisions(schema.name)
    known = next((one for one in revisions if one.schema is schema), None)
    return known or next((one for one in revisions if one.schema.fields == schema.fields), None)


def add_records(folder: Path) -> tuple[str, ...]:
    """From now on the record types in a folder are known, too; their short names. SettingsError, with all problems of
    all files, where one is wrong: then none is added.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder}: there is no such folder of record schemas")
    found = record_files_in(folder)
    problems = _strangers(folder, found)
    for name, path in found.items():
        known = record_files().get(name)
        if known is not None and known.resolve() != path.resolve():
            problems.append(f"{path}: there is a record type '{name}' already: {known}")
            continue
        try:
            _read(name, path, V2)
            _read(name, path, WIDE)
        except SettingsError as error:
            problems += str(error).splitlines()
    if problems:
        raise SettingsError("\n".join(problems))
    add_record_files(found)
    return tuple(found)


def _strangers(folder: Path, found: dict[str, Path]) -> list[str]:
    """What lies in the folder and is no part of a record type, though it looks like one."""
    wide = wide_file(folder / "any", WIDE).parent
    files = {path for first in found.values() for path in revision_files(first)}
    lost = {path for first in found.values() for path in unreachable_revisions(first)}
    problems = [
        f"{path}: there is no {path.name} in {folder}" for path in sorted(wide.glob("*.avsc"))
        if path.name not in {one.name for one in files}
    ]
    problems += [
        f"{path}: the schema of a record type is named NAME{RECORD}"
        for path in sorted(folder.glob("*.avsc")) if path not in files | lost and not is_revision_file(path)
    ]
    problems += [
        f"{path}: is no revision: they are numbered from 2, and the one before it is missing"
        for path in sorted(folder.glob("*.avsc")) if path in lost or (path not in files and is_revision_file(path))
    ]
    profiles = {path.with_name(path.name.removesuffix(".avsc") + PROFILE) for path in found.values()}
    problems += [
        f"{path}: there is no {path.name.removesuffix(PROFILE)}.avsc beside it"
        for path in sorted(folder.glob(f"*{PROFILE}")) if path not in profiles
    ]
    if not found and not problems:
        problems.append(f"{folder}: there is no record schema (NAME{RECORD}) in it")
    return problems


@cache
def _read(name: str, path: Path, size: DecimalSize) -> tuple[RecordType, ...]:
    files = revision_files(path)
    schemas = [read_schema(name, one, size) for one in files]
    problems = [f"{file}: {text}" for file, before, after in zip(files[1:], schemas, schemas[1:], strict=False)
                for text in growth_problems(before, after)]
    if problems:
        raise SettingsError("\n".join(problems))
    last = files[-1]
    schema_path = wide_file(last, size) if size != V2 and wide_file(last, size).is_file() else last
    profile = read_profile(path.with_name(path.name.removesuffix(".avsc") + PROFILE), schema_path, schemas[-1])
    return tuple(
        RecordType(name, schema, profile if at == len(schemas) - 1 else earlier_profile(profile, schema, schemas[-1]),
                   _more_places(schema, read_schema(name, files[at], V2)), at + 1, once_required(schemas, at))
        for at, schema in enumerate(schemas)
    )


def _more_places(schema: RecordSchema, narrow: RecordSchema) -> dict[str, int]:
    return {field.name: field.scale - small.scale
            for field, small in zip(schema.fields, narrow.fields, strict=True) if field.scale != small.scale}
