"""Which record types there are: those in ``schemas/`` that ship with k2conn, and those of a folder that was added."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from k2conn.avro import V2, WIDE, DecimalSize, decimals_used, read_schema, wide_file
from k2conn.errors import SettingsError
from k2conn.records.reading import read_profile
from k2conn.records.record import RecordType
from k2conn.resources import RECORD, add_record_files, record_files, record_files_in

PROFILE = ".profile.toml"
"""The suffix of a profile's file name, in place of the schema's ``.avsc``."""


def known_records(made_by: str | None = None) -> tuple[str, ...]:
    """The short names of all record types, sorted; ``made_by``: only those of ``connectors``, or of the ``engine``."""
    names = sorted(record_files())
    return tuple(name for name in names if made_by in (None, load_record(name).profile.made_by))


def load_record(name: str) -> RecordType:
    """The record type of that short name, read once. SettingsError where there is none, or where its files are wrong:
    then with all their problems, a line each.
    """
    path = record_files().get(name)
    if path is None:
        raise SettingsError(f"no record type {name!r}; known are {', '.join(sorted(record_files()))}")
    return _read(name, path, decimals_used())


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
    problems = [
        f"{path}: there is no {path.name} in {folder}" for path in sorted(wide.glob("*.avsc"))
        if path.name not in {one.name for one in found.values()}
    ]
    problems += [
        f"{path}: the schema of a record type is named NAME{RECORD}"
        for path in sorted(folder.glob("*.avsc")) if path not in found.values()
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
def _read(name: str, path: Path, size: DecimalSize) -> RecordType:
    schema, narrow = read_schema(name, path, size), read_schema(name, path, V2)
    profile = path.with_name(path.name.removesuffix(".avsc") + PROFILE)
    schema_path = wide_file(path, size) if size != V2 and wide_file(path, size).is_file() else path
    more = {
        field.name: field.scale - small.scale
        for field, small in zip(schema.fields, narrow.fields, strict=True) if field.scale != small.scale
    }
    return RecordType(name, schema, read_profile(profile, schema_path, schema), more)
