"""Compiles what a connection says about a WebSocket's handshake and frames: `headers`, `subprotocol`, `compression` and
`send_as`.
"""

from __future__ import annotations

import re
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.context import CompileContext
from k2conn.compression import PLAIN, Compression
from k2conn.plan import Template

SUBPROTOCOL = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What a sub-protocol's name can be (a token of HTTP)."""
_HEADER = "sec-websocket-protocol"


def handshake_parts(
    note: CompileContext, said: dict[str, Any], path: Path, allowed: tuple[str, ...]
) -> dict[str, Any]:
    """The parts of a `plan.Connection`; problems are noted. ``allowed`` are the placeholders that have a meaning."""
    text = said.get("subprotocol", "")
    return {
        "headers": _headers(note, said, path, allowed),
        "subprotocol": _subprotocol(note, said, path, allowed),
        "subprotocol_text": text if isinstance(text, str) else ", ".join(text),
        "compression": _compression(said.get("compression", True)),
        "send_as": said.get("send_as", "text"),
    }


def _headers(note: CompileContext, said: dict[str, Any], path: Path, allowed: tuple[str, ...]) -> Template | None:
    if "headers" not in said:
        return None
    place = (*path, "headers")
    for name in said["headers"]:
        if name.lower() == _HEADER:
            text = "say `subprotocol:` in the connection instead, so that a server that picks another one is refused"
            note((*place, name), "value", text, at_key=True)
    compiled = note.template(said["headers"], place, allowed, True)
    return compiled.render if compiled else None


def _subprotocol(note: CompileContext, said: dict[str, Any], path: Path, allowed: tuple[str, ...]) -> Template | None:
    if "subprotocol" not in said:
        return None
    place, offered = (*path, "subprotocol"), said["subprotocol"]
    compiled = note.template(offered, place, allowed)
    if compiled is None:
        return None
    entries = [(offered, place)]
    if isinstance(offered, list):
        entries = [(one, (*place, at)) for at, one in enumerate(offered)]
    for name, where in entries:
        if "$" not in name and not SUBPROTOCOL.fullmatch(name):
            text = f"'{short(name)}' is no name of a sub-protocol: it has no spaces and commas; several are a list"
            note(where, "value", text)
    return compiled.render


def _compression(said: bool | dict[str, Any]) -> Compression | None:
    if isinstance(said, bool):
        return PLAIN if said else None
    return Compression(**said)
