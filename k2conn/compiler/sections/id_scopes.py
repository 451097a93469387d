"""Compiles ``id_scope``: what the venue's ids are unique within, where it begins anew for each market, or each day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import IdScope
from k2conn.records import RecordType


def compile_id_scope(
    note: CompileContext, record: RecordType, said: Mapping[str, Any], mapping: Mapping[str, Any], path: Path
) -> IdScope | None:
    """What a stream says of its ids; None where it says nothing, or after noting what is wrong."""
    if "id_scope" not in said:
        return None
    scope, place = said["id_scope"], (*path, "id_scope")
    own = record.profile.id
    text = ""
    if own is None or own not in mapping:
        text = "there are no ids: " + (f"map `{own}`" if own else f"a {record.name} has none of the venue's")
    elif "identity" in said:
        text = "`identity` says what tells records apart: say one of the two"
    elif said.get("message_id") == "random":
        text = "`message_id: random` makes a new id for each record: say one of the two"
    if text:
        note(place, "value", text, at_key=True)
        return None
    names = tuple(scope.get("fields", ()))
    mapped = [field.name for field in record.mapped if field.name in mapping]
    wrong = False
    for at, name in enumerate(names):
        if name not in mapped:
            text = f"'{short(name)}' is no mapped field{known(name, mapped)}"
            if name == "symbol":
                text = "each symbol's ids are apart already: leave it out"
            note((*place, "fields", at), "unknown-field", text)
            wrong = True
    zone = _zone(note, scope["day"], (*place, "day")) if "day" in scope else None
    if wrong or ("day" in scope and zone is None):
        return None
    return IdScope(names, zone, scope.get("day", ""))


def _zone(note: CompileContext, name: str, path: Path) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        note(path, "value", f"'{short(name)}' is no IANA time zone, such as UTC or America/New_York")
        return None
