"""``codec:`` compiled: how text and binary frames become JSON."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import size
from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import Codec

_LARGEST = 1 << 20
"""Bytes that a protobuf descriptor may have."""


def compile_codec(said: Any, path: Path, folder: FilePath, note: CompileContext) -> Codec:
    """One codec; ``folder`` is where a descriptor lies."""
    if isinstance(said, str):
        binary = () if said == "json" else (said,)
        return Codec(text=("json",), binary=(*binary, "json"))
    limit = note.read(size, said.get("limit", "8 MiB"), (*path, "limit")) or Codec().limit
    text = _steps(said.get("text", "json"))
    binary = said.get("binary", "json")
    if binary == "protobuf":
        descriptor = _descriptor(said, path, folder, note)
        return Codec(text, ("protobuf",), limit, descriptor, said.get("message"))
    for key in ("descriptor", "message"):
        if key in said:
            note((*path, key), "value", f"`{key}` is for `binary: protobuf`", at_key=True)
    return Codec(text, _steps(binary), limit)


def _descriptor(said: dict[str, Any], path: Path, folder: FilePath, note: CompileContext) -> bytes | None:
    if "descriptor" not in said or "message" not in said:
        note(path, "missing", "protobuf needs `descriptor:` (a file beside this one) and `message:`")
        return None
    name: str = said["descriptor"]
    place = (*path, "descriptor")
    if "/" in name or "\\" in name or "\0" in name or name in ("", ".", ".."):
        note(place, "path", "the descriptor is a file beside this one: say its name without a folder")
        return None
    try:
        file = (folder / name).resolve()
        inside = file.parent == folder.resolve()
        if inside and file.is_file() and file.stat().st_size <= _LARGEST:
            return file.read_bytes()
    except OSError:
        inside = True
    why = "is no file of at most 1 MiB beside this one" if inside else "leads out of the folder"
    note(place, "path", f"'{short(name)}' {why}")
    return None


def _steps(name: str) -> tuple[str, ...]:
    if name == "refuse":
        return ()
    return (*(part for part in name.split("+") if part != "json"), "json")
