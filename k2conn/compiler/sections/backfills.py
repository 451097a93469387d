"""Compiles ``backfill:`` of a stream: the call that fetches missing records, and how its rows are read.

Where a row differs from the stream's items, `fields` says how; everything else is the stream's own mapping, so that the
same trade has the same ids from both sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.expressions.missing_ranges import NUMBERS, SPANS, TIMES
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import rate
from k2conn.compiler.sections.addresses import http_request
from k2conn.compiler.sections.conditions import compile_match
from k2conn.compiler.sections.spans import over
from k2conn.compiler.sections.streams import StreamCompiler
from k2conn.compiler.sections.times_of_day import NEAREST
from k2conn.errors import RecordError
from k2conn.plan import Backfill, BackfillPage, Field, Reader, Stream
from k2conn.records import load_record
from k2conn.scope import Scope

_CALL = ("symbol", "env", "uuid", "now_s", "now_ms", "now_us", *NUMBERS, *TIMES)
_COUNTED = ("contiguous", "linked")
_REQUEST = ("http", "headers", "body", "within")


class BackfillCompiler:
    """Compiles the backfills of one connector's streams."""

    def __init__(self, streams: StreamCompiler) -> None:
        self.streams = streams
        self.note = streams.note

    def backfills(self, stream: Stream, whole: dict[str, Any]) -> Iterator[Backfill]:
        """The backfill calls of a stream; problems are noted."""
        path: Path = ("streams", stream.name)
        said = whole.get("backfill", [])
        entries: list[tuple[Any, Path]] = [(said, (*path, "backfill"))]
        if isinstance(said, list):
            entries = list(self.note.entries(whole, "backfill", path))
        for one, place in entries:
            if self.note.reachable(place):
                found = self._backfill(stream, self.note.pruned(one, place), place)
                if found:
                    yield found

    def _backfill(self, stream: Stream, said: dict[str, Any], path: Path) -> Backfill | None:
        if "http" not in said:
            return None
        call = {key: said[key] for key in _REQUEST if key in said}
        request = http_request(call, path, self.note, allowed=_call(stream))
        rows = self._rows(stream, said, path)
        symbols = compile_match(said["symbols"], (*path, "symbols"), self.note) if "symbols" in said else None
        each = self.note.expression(said["each"], (*path, "each"), lenient=True) if "each" in said else None
        limit = self.note.read(rate, said["limit"], (*path, "limit")) if "limit" in said else None
        counted = stream.sequence is not None and stream.sequence.rule in _COUNTED
        number = self.streams.sequences.row_number(said, path)
        if stream.span is not None and rows is not None:
            spanned = self.streams.spans(stream.name, load_record(stream.record, stream.revision))
            number = spanned.number({field.name: field for field in rows.fields})
        elif number is None and counted and stream.sequence is not None:
            number = stream.sequence.read
        if not self._fits(stream, said, path) or request is None or rows is None:
            return None
        record = load_record(stream.record, stream.revision)
        time = next((field.read for field in rows.fields if field.name == record.profile.time), None)
        if time is None:  # noted, as the stream's own time is missing
            return None
        self._dated(rows, record.profile.time, path)
        times = TIMES.keys() if counted else TIMES.keys() | SPANS.keys()
        return Backfill(
            request=request,
            each=each.get if each else None,
            each_text=said.get("each", "the answer"),
            rows=rows,
            number=number if counted else None,
            time=_in_microseconds(time, record.microseconds) if rows.span is None else rows.span.end_us,
            timed=bool(self._used(stream, said, path) & times),
            bounded=_bounded(self._used(stream, said, path)),
            symbols=symbols,
            limit=limit,
            page=BackfillPage(said["page"]["size"], said["page"]["by"]) if "page" in said else None,
        )

    def _dated(self, rows: Stream, name: str, path: Path) -> None:
        """Notes a time of day in rows whose day would be that of the answer: they are of the past."""
        if any(one.name == name and one.expression.endswith(NEAREST) for one in rows.fields):
            text = f"a row is of the past: its {name} says its date, not `date: nearest`; say it in `fields` here"
            self.note(path, "value", text, at_key=True)

    def _fits(self, stream: Stream, said: dict[str, Any], path: Path) -> bool:
        """Whether the stream is one whose missing records can be recognised; else what is wrong is noted."""
        text, rule = "", stream.sequence
        profile = load_record(stream.record, stream.revision).profile
        told_apart = stream.venue_id is not None or profile.key or stream.distinct
        if not told_apart or stream.message_id == "random":
            hint = f"map `{profile.id}`" if profile.id else f"a {stream.record} has none"
            text = f"only records with an id of the venue's can be told apart: {hint}, or say `distinct` in `identity`"
        elif stream.carry is not None:
            text = "a stream with `carry` has no backfill: its records come of changes"
        elif rule is not None and rule.rule in _COUNTED and rule.per != "symbol":
            text = "a call is made for one symbol: the sequence is `per: symbol`"
        elif (rule is None or rule.rule not in _COUNTED) and self._used(stream, said, path) & NUMBERS.keys():
            text = "nothing tells which numbers are missing: say `sequence:` with `rule: contiguous`, or ask by time"
        if text:
            self.note(path, "value", text, at_key=True)
        return not text

    def _used(self, stream: Stream, said: dict[str, Any], path: Path) -> frozenset[str]:
        """The placeholders of the call."""
        found: set[str] = set()
        for key in ("http", "headers", "body"):
            if key in said:
                value = said[key].partition(" ")[2] if key == "http" else said[key]
                compiled = self.note.template(value, (*path, key), _call(stream))
                found |= compiled.names if compiled else set()
        return frozenset(found)

    # -- rows

    def _rows(self, stream: Stream, said: dict[str, Any], path: Path) -> Stream | None:
        """The stream as its rows are read; None after noting what is wrong."""
        mapping = self.note.pruned(said.get("fields", {}), (*path, "fields"))
        record = load_record(stream.record, stream.revision)
        self.streams.check_names(record, {"fields": mapping}, path)
        if "symbol" in mapping:
            text = "a call is made for one symbol, and so are its rows: take it out"
            self.note((*path, "fields", "symbol"), "value", text, at_key=True)
        own = {one.name: one for one in self._own(stream, mapping, path)}
        identity, currency = stream.venue_id, stream.currency
        if record.profile.id is not None:
            identity = self.streams.text(record.profile.id, mapping, path) or identity
        if "currency" in record.profile.engine:
            currency = self.streams.text("currency", mapping, path) or currency
        fields = {one.name: one for one in stream.fields} | own
        spans, states = self.streams.spans(stream.name, record), stream.states
        if states is not None:
            known = own.get(states.field) or over(states.field)
            fields[states.field], states = known, replace(states, closed=known.read, keep_open=False)
        span = spans.span(fields)
        fields = spans.completed(fields, reported=record.profile.time in own)
        vendor = tuple(self.streams.vendor(said, path)) if "vendor_data" in said else stream.vendor_data
        return replace(
            stream,
            each=None, each_key=False, inner=(), order="oldest-first", other_order_when=None,
            snapshot=None, snapshot_action="tag", first_batch="keep",
            sequence=None,
            symbol=Field("symbol", _asked, "$symbol", "the symbol that was asked for"),
            venue_id=identity,
            currency=currency,
            fields=tuple(fields[one.name] for one in record.schema.fields if one.name in fields),
            vendor_data=(*vendor, Field("backfill", lambda item, scope: "true", "true", "constant")),
            mapped_keys=self._keys(stream, said, mapping),
            span=span,
            states=states,
        )

    def _own(self, stream: Stream, mapping: dict[str, Any], path: Path) -> Iterator[Field]:
        """The fields that differ in rows, except ids and currency."""
        record = load_record(stream.record, stream.revision)
        for target in record.mapped:
            if target.name in mapping:
                place = (*path, "fields", target.name)
                found = self.streams.mapped_field(record, target, mapping[target.name], place)
                if found:
                    yield found

    def _keys(self, stream: Stream, said: dict[str, Any], mapping: dict[str, Any]) -> frozenset[str]:
        """The top-level keys of a row that are mapped."""
        expressions = self.streams.expressions({"vendor_data": said.get("vendor_data", [])}, mapping)
        if "number" in said:
            number = said["number"]
            expressions.append(compile_expression(number["from"] if isinstance(number, dict) else number, True))
        return stream.mapped_keys.union(*(one.heads for one in expressions))


def _call(stream: Stream) -> tuple[str, ...]:
    """The placeholders that have a meaning in a stream's call."""
    return (*_CALL, *SPANS) if stream.span is not None else _CALL


def _bounded(used: frozenset[str]) -> bool:
    """Whether a call with these placeholders says from where and up to where."""
    ends = {name.partition("_")[0] for name in used}
    return bool(ends & {"first", "before", "from"}) and bool(ends & {"last", "after", "to"})


def _in_microseconds(read: Reader, unit: int) -> Reader:
    """A time that is counted in a unit of so many microseconds, in microseconds."""
    return read if unit == 1 else lambda item, scope: read(item, scope) * unit


def _asked(item: Any, scope: Scope) -> str:
    if scope.symbol is None:
        raise RecordError("symbol", "$symbol", None, "missing-field", "no symbol was asked for")
    return scope.symbol.native
