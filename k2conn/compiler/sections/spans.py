"""Records about spans of time: what of their fields follows from the interval, and how it is known that one is over.

A stream with ``intervals:`` says where a span begins; when it ends is the beginning and the interval, whatever the
venue calls its end. ``closed: when-next-opens`` is for venues that do not say which state of a span is its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.language.document import Path
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.intervals import Interval
from k2conn.plan import Field, Reader, Sequence, Span, States
from k2conn.records import RecordType
from k2conn.scope import Scope

EVERY = "every-interval"
NEXT = "when-next-opens"


class SpanCompiler:
    """What one stream says of the spans that its records are about; ``interval`` None: nothing."""

    def __init__(self, note: CompileContext, record: RecordType, interval: Interval | None, venue: Any = None) -> None:
        """``venue``: the venue's name of the interval."""
        self.note = note
        self.profile = record.profile
        self.interval = interval
        self._venue = venue

    def given(self, said: Mapping[str, Any]) -> frozenset[str]:
        """The fields that need not be mapped."""
        names: list[str | None] = []
        if self.interval is not None:
            names += [self.profile.interval, self.profile.end, self.profile.time]
        if said.get("closed") == NEXT:
            names.append(self.profile.closed)
        return frozenset(name for name in names if name is not None)

    def check(self, said: Mapping[str, Any], mapping: Mapping[str, Any], path: Path) -> None:
        """Notes words that do not go together."""
        profile = self.profile
        if self.interval is not None and profile.interval is None:
            text = "such records are about no span of time: take `intervals` out"
            self.note((*path, "intervals"), "value", text, at_key=True)
        for name in (profile.interval, profile.end) if self.interval is not None else ():
            if name in mapping:
                text = f"'{name}' follows from `intervals` and '{profile.begin}': take it out"
                self.note((*path, "fields", str(name)), "value", text, at_key=True)
        for key in ("closed", "open"):
            if key in said and profile.closed is None:
                self.note((*path, key), "value", f"such records are never open: take `{key}` out", at_key=True)
        if "closed" not in said or profile.closed is None:
            return
        if profile.closed in mapping:
            text = f"say where '{profile.closed}' stands, or `closed: {NEXT}` where the venue does not tell; not both"
            self.note((*path, "closed"), "value", text, at_key=True)
        if self.interval is None:
            text = f"`closed: {NEXT}` is for a stream with `intervals`: else nothing tells which one is the next"
            self.note((*path, "closed"), "value", text, at_key=True)

    # -- fields

    def completed(self, fields: Mapping[str, Field], reported: bool = True) -> dict[str, Field]:
        """The mapped fields with those that follow from the interval. ``reported``: the time of the report is as the
        fields say; else, and where they say nothing, it is the end of the span.
        """
        profile, interval = self.profile, self.interval
        begin = fields.get(profile.begin or "")
        if interval is None or begin is None or profile.end is None:
            return dict(fields)
        begin = _on_grid(begin, interval)
        end = _ending(profile.end, begin, interval)
        found = {**fields, begin.name: begin, end.name: end}
        if profile.time not in fields or not reported:
            found[profile.time] = _ending(profile.time, begin, interval)
        return found

    def span(self, mapped: Mapping[str, Field]) -> Span | None:
        """Which span a record is about, by the fields as they are ``mapped``; None where the stream does not say."""
        begin, interval = mapped.get(self.profile.begin or ""), self.interval
        if interval is None or begin is None:
            return None
        return Span(interval, self._venue, _on_grid(begin, interval).read, begin.read)

    def states(self, said: Mapping[str, Any], fields: Mapping[str, Field]) -> States | None:
        """Which states of a span are records; None where records have no states."""
        name = self.profile.closed
        if name is None or (name not in fields and said.get("closed") != NEXT):
            return None
        closed = fields[name].read if name in fields else None
        return States(name, closed, said.get("open") == "keep")

    def sequence(self, fields: Mapping[str, Field]) -> Sequence | None:
        """The rule that there is a span for every interval."""
        read = self.number(fields)
        if read is None:
            return None
        return Sequence(read, f"{self.profile.begin} by {self._name}", "contiguous", "symbol")

    def number(self, fields: Mapping[str, Field]) -> Reader | None:
        """Reads the number of a record's span."""
        begin, interval = fields.get(self.profile.begin or ""), self.interval
        if begin is None or interval is None:
            return None
        read = begin.read
        return lambda item, scope: interval.number(read(item, scope))

    @property
    def _name(self) -> str:
        return self.interval.name if self.interval is not None else ""


def over(name: str) -> Field:
    """The field of records that are over in any case."""
    return Field(name, lambda item, scope: True, exactjson.spell(True), "constant")


def _on_grid(begin: Field, interval: Interval) -> Field:
    read = begin.read

    def checked(item: Any, scope: Scope) -> int:
        found: int = read(item, scope)
        if not interval.begins(found):
            detail = f"no {interval.name} begins there"
            raise RecordError(begin.name, begin.expression, found, "bad-time", detail)
        return found

    return Field(begin.name, checked, begin.expression, f"{begin.converter}, a multiple of {interval.name}",
                 begin.absent, begin.speed)


def _ending(name: str, begin: Field, interval: Interval) -> Field:
    read, length = begin.read, interval.length_us

    def end(item: Any, scope: Scope) -> int:
        found: int = read(item, scope)
        return found + length

    return Field(name, end, begin.expression, f"{begin.name} and {interval.name}", None, begin.speed)
