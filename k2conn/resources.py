"""Packaged data: where ``connectors/`` and ``schemas/`` are, and which files of record types there are.

An installed package carries both folders inside itself; a source checkout has them beside the package. The
first that exists is the one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

RECORD = "_v2.avsc"
"""What the name of a record type's schema file ends with."""
_ADDED: dict[str, Path] = {}
_PACKAGE = Path(__file__).resolve().parent


def connectors_folder() -> Path:
    """The folder of the connector files that ship with k2conn."""
    return _folder("connectors")


def schemas_folder() -> Path:
    """The folder of the record schemas (``.avsc``) that ship with k2conn."""
    return _folder("schemas")


def record_files() -> dict[str, Path]:
    """The schema file of each record type, by its short name ("trade" is ``schemas/trade_v2.avsc``): those that ship
    with k2conn, and those that were added.
    """
    return {**_shipped(), **_ADDED}


@cache
def _shipped() -> dict[str, Path]:
    return record_files_in(schemas_folder())


def record_files_in(folder: Path) -> dict[str, Path]:
    """The record schemas in one folder, by short name."""
    return {path.name.removesuffix(RECORD): path for path in sorted(folder.glob(f"*{RECORD}"))}


def add_record_files(files: Mapping[str, Path]) -> None:
    """From now on there are these record types, too."""
    _ADDED.update(files)


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
