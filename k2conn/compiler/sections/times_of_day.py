"""Compiles a time of the day without a date: `date` says on which day it is."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.compiler.converters.readers import or_received, received
from k2conn.compiler.converters.times_of_day import ZoneDays, time_of_day_reader
from k2conn.compiler.language.document import Path
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import Field, Getter
from k2conn.records import TIMES

_RECEIVED = "$received_at"
NEAREST = f", {_RECEIVED}"
"""Behind the expression of a time whose day is that of the receipt, nearly."""


def compile_time_of_day(
    note: CompileContext, target: SchemaField, said: dict[str, Any], found: tuple[Getter, str] | None, path: Path
) -> Field | None:
    """The field; None after noting what is wrong. ``found`` reads the time's text or number; its zone was checked."""
    if "zone" not in said:
        note(path, "missing", "a time of day says whose clocks show it: `zone`, such as UTC or America/New_York")
        return None
    if "absent" in said and said["absent"] != _RECEIVED and not (said["absent"] is None and target.nullable):
        text = f"what stands for a time of day that is missing is {_RECEIVED}, or nothing"
        note((*path, "absent"), "value", text)
        return None
    words = f"time of day in {said['unit']}, zone {said['zone']}"
    shown = str(said["text"] if "text" in said else said["from"])
    day = None
    if isinstance(said["date"], dict):
        expression = note.expression(said["date"]["from"], (*path, "date", "from"))
        if expression is None:
            return None
        day, shown, words = expression.get, f"{shown}, {expression.text}", f"{words}, on that date"
    else:
        shown, words = f"{shown}{NEAREST}", f"{words}, on the day nearest to its receipt"
    if found is None:
        return None
    days = ZoneDays(ZoneInfo(said["zone"]), said.get("ambiguous"))
    per = TIMES[target.kind]
    read = time_of_day_reader(found[0], said["unit"], days, day, per, target.name, shown, target.nullable)
    if said.get("absent") == _RECEIVED:
        read = or_received(read, found[0], received(target.name, per))
    absent = exactjson.spell(said["absent"]) if "absent" in said else "null" if target.nullable else None
    return Field(target.name, read, shown, words, absent, found[1])
