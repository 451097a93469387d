"""Codecs by name: one file each in this folder, and those of other packages (entry-point group `k2conn.codecs`)."""

from __future__ import annotations

from k2conn.codecs.component import (
    Codec,
    FileFormat,
    MessageFormat,
    Packing,
    Row,
    RowPosition,
    RowReader,
    Setting,
    Settings,
)
from k2conn.registry import Registry

__all__ = [
    "CODECS",
    "Codec",
    "FileFormat",
    "MessageFormat",
    "Packing",
    "Row",
    "RowPosition",
    "RowReader",
    "Setting",
    "Settings"
]

CODECS: Registry[Codec] = Registry(
    "codec", "k2conn.codecs", "CODEC", Codec,
    shared=("bodies", "component", "decoding", "encoding", "inflating", "lines", "quoted_cells"),
)
