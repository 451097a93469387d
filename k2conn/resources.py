"""Packaged data: where ``connectors/`` and ``schemas/`` are.

An installed package carries both folders inside itself; a source checkout has them beside the package. The
first that exists is the one.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def connectors_folder() -> Path:
    """The folder of the connector files that ship with k2conn."""
    return _folder("connectors")


def schemas_folder() -> Path:
    """The folder of the record schemas (``.avsc``) that ship with k2conn."""
    return _folder("schemas")


def schema_text(name: str) -> str:
    """The text of ``schemas/<name>.avsc``; FileNotFoundError where there is none."""
    return (schemas_folder() / f"{name}.avsc").read_text(encoding="utf-8")


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
