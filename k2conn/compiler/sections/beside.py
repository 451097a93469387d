"""Files that lie beside a connector file and are named in it: the only files that a connector file can have opened."""

from __future__ import annotations

from pathlib import Path as FilePath

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.context import CompileContext

LARGEST = 1 << 20
"""Bytes that such a file may have."""

_MADE_BY = {"descriptor": ": protoc --include_imports --descriptor_set_out writes it from a .proto"}
"""What makes such a file, where an author may not know."""


def file_beside(name: str, path: Path, folder: FilePath, note: CompileContext) -> bytes | None:
    """The contents of a file beside the connector file; None after noting why there are none."""
    if "/" in name or "\\" in name or "\0" in name or name in ("", ".", ".."):
        text = f"the {path[-1]} is a file beside this one: say its name without a folder"
        note(path, "path", text)
        return None
    try:
        file = (folder / name).resolve()
        inside = file.parent == folder.resolve()
        if inside and file.is_file() and file.stat().st_size <= LARGEST:
            return file.read_bytes()
    except OSError:
        inside = True
    why = "is no file of at most 1 MiB beside this one" if inside else "leads out of the folder"
    note(path, "path", f"'{short(name)}' {why}{_MADE_BY.get(str(path[-1]), '') if inside else ''}")
    return None
