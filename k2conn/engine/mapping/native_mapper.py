"""Describes a stream's records to the native mapper (`k2conn.native`, in C), which takes plain items to the bytes of
their records and leaves any other to the general mapper.

It reads the everyday forms of a value itself (`plan.FastConversion` says which), field by field, and calls the field's
own Python reader for all others. What the records of one symbol have in common is encoded once in advance. A stream's
description is made once, for there may be very many symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from k2conn import exactjson, native
from k2conn.avro import SchemaField, checked_writer, fixed_bytes
from k2conn.engine.identity.id_scope import id_scope
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.engine.identity.record_content import content_fields
from k2conn.engine.mapping.mapped_record import FastMapper
from k2conn.engine.mapping.row_identity import numbering, row_parts
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import EncodeError, RecordError
from k2conn.plan import ROOTS, Field, Getter, RowOther, Stream, Symbol
from k2conn.records import RecordType
from k2conn.scope import Scope

CONVERSION_ERRORS = (RecordError, KeyError, TypeError)
"""What a direct converter raises for a value that the field's full reader must decide."""
_UNUSUAL = (RecordError, KeyError, TypeError, IndexError, ValueError)
"""What the native mapper leaves to the general mapper, which meets it again and says it."""
_HOW = {"": 0, "decimal": 1, "whole": 2, "time": 3, "named": 4, "text": 5, "magnitude": 9, "signed": 10, "sign": 11,
        "cut": 12, "list": 13, "nanoseconds": 15}
_RECEIPT = 16
_RECEIPTS = ("whole", "time", "cut")
"""What may be a time that the item does not say, so that the receipt's stands for it."""
_RECEIVED, _JOINED, _JOINED_TIME, _GIVEN = 6, 7, 8, 14
_KINDS = {"long": "l", "int": "l", "timestamp-micros": "l", "timestamp-millis": "l", "date": "l", "boolean": "b",
          "decimal": "d", "enum": "e", "string": "s", "array<string>": "a"}
_ROOTS = {root: at for at, root in enumerate(ROOTS)}
_STEPS, _PATHS = 8, 4
"""Of a path that C follows, and paths to one value."""
_MOST = 64
"""Fields, and entries of vendor_data, that a record in C can have."""

Path = tuple[int, tuple[str | int | RowOther, ...]]
"""Where a plain path begins, and its steps."""
Place = tuple[Path, ...]
Source = tuple[Place | Getter | None, Any, Any, int, int, int, int, int, Any]
"""Place (or what finds the value), quick converter, reader, how it is found, scale, factor, least, below, table."""
Piece = tuple[str, bool, int, int, object]


class EnvelopeTemplate(NamedTuple):
    """What all envelopes of one symbol have in common."""

    topic: str
    symbol: bytes
    account: DeliveryAccount


class NativeMappers:
    """Makes the native mapper of each symbol of a stream."""

    def __init__(self, stream: Stream, record: RecordType, prefix: str, always: Mapping[str, object]) -> None:
        """``always``: what all records of the stream have in common; ``prefix``: what stands before the venue's ids.
        """
        self._stream = stream
        self._record = record
        self._always = always
        carried = stream.carry.fields if stream.carry is not None else ()
        needed = self._needed()
        self._of_symbol = [field for field in stream.fields if field.of_symbol and field.name not in needed]
        own = [field for field in stream.fields if field.name not in always and field not in self._of_symbol]
        own += [stream.currency] if stream.currency is not None else []
        self._sources: list[Source] = [
            _given(carried.index(field.name)) if field.name in carried else source_of(field) for field in own
        ]
        self._sources.append((((_ROOTS["received_at"], ()),), None, None, _RECEIVED, 0, 1, 0, 1, None))
        self._places = {field.name: at for at, field in enumerate([*own, _INGESTION])}
        """Where a record's values are while it is made."""
        self._row = row_parts(stream, record, own, always)
        self._prefix = prefix
        self._vendor = [field for field in stream.vendor_data if not field.of_symbol]
        self._names: dict[tuple[str, ...], frozenset[str]] = {}
        """The names of all entries of vendor_data, by those that a symbol has: many symbols share them."""
        self._program = self._described() if native.Mapper is not None and self._suits() else None

    def mapper(
        self, symbol: Symbol, vendor: Mapping[str, str], always: Mapping[str, object], ids: MessageIds,
        template: EnvelopeTemplate,
    ) -> FastMapper | None:
        """The native mapper of one symbol, whose records all have the values ``always`` and vendor_data that begins
        with ``vendor``. None where the stream's records need the general mapper.
        """
        schema, places = self._record.schema, self._places
        known = {**always, "symbol": symbol.record}
        if "currency" in self._record.profile.engine and self._stream.currency is None:
            known["currency"] = symbol.price_currency
        said = self._said(symbol)
        vendor_at = schema.index("vendor_data") if self._program is not None else 0
        first = 1 if self._record.profile.id is None else 2  # behind the ids
        body, rest = schema.fields[first:vendor_at], schema.fields[vendor_at + 1 :]
        known |= said or {}
        entries = [*vendor, *(field.name for field in self._vendor)]
        whole = all(field.name in known or field.name in places for field in (*body, *rest))
        if self._program is None or said is None or not whole or len(set(entries)) < len(entries):
            return None
        try:
            before, behind = _pieces(body, known, places), _pieces(rest, known, places)
            opening = b"".join(_prefixed(part) for entry in vendor.items() for part in entry)
        except EncodeError:
            return None
        names = self._names.setdefault(tuple(vendor), frozenset(entries))
        found: FastMapper = native.Mapper(
            program=self._program, seed=ids.seed, numbered=numbering(self._stream, symbol.record), opening=opening,
            opened=len(vendor), names=names, pieces=(*before, *behind), behind=len(before), **template._asdict(),
        ).make
        return found

    @property
    def possible(self) -> bool:
        """Whether symbols of this stream have native mappers at all."""
        return self._program is not None

    @property
    def of_text(self) -> bool:
        """Whether they can map items that nobody has decoded: all that is read of these stands at plain paths."""
        return self._program is not None and bool(self._program.of_text)

    def _said(self, symbol: Symbol) -> dict[str, object] | None:
        """The values that are read of a symbol alone; None where one of them is none, or is something to note."""
        scope, found = Scope(), {}
        scope.symbol = symbol
        for field in self._of_symbol:
            try:
                found[field.name] = field.read(None, scope)
            except RecordError:
                return None
        return found if not scope.notes and not scope.unknown_sides and scope.rounded is None else None

    def _needed(self) -> set[str]:
        """The fields whose values the records of a stream are known by."""
        stream, record = self._stream, self._record
        scope, content, profile = id_scope(stream, record), content_fields(stream, record), record.profile
        found = {*stream.identity, *content.numbers, *content.words, *profile.never_all_zero, profile.time}
        found |= {*(scope.fields if scope is not None else ()), *(stream.carry.fields if stream.carry else ())}
        return found | {name for name in (profile.price,) if name is not None}

    def _suits(self) -> bool:
        """Whether the native mapper can make records of this stream at all."""
        stream, record, places = self._stream, self._record, self._places
        fields, profile = record.schema.fields, record.profile
        scope = id_scope(stream, record)
        needed = [name for name in (profile.time, profile.price) if name is not None]
        needed += scope.fields if scope is not None else ()
        vendor_at = record.schema.index("vendor_data") if "vendor_data" in profile.engine else -1
        ids = ["message_id"] if profile.id is None else ["message_id", profile.id]
        return bool(
            (stream.venue_id is not None or self._row) and stream.message_id != "random"
            and [field.name for field in fields[: len(ids)]] == ids and not profile.key
            and (profile.id is not None or stream.span is None)
            and vendor_at >= len(ids) and fields[vendor_at].null_first
            and record.microseconds == 1 and all(name in places for name in needed)
            and max(len(fields), len(places), len(stream.vendor_data)) < _MOST and not self._always_empty()
        )

    def _described(self) -> Any:
        stream, record, places = self._stream, self._record, self._places
        content, scope, profile = content_fields(stream, record), id_scope(stream, record), record.profile
        try:
            entries = tuple(
                (None, None, _prefixed(one.name) + _prefixed(one.expression)) if one.constant
                else (_place(one), one.read, _prefixed(one.name), one.joined.parts[0][4] if one.joined else None)
                for one in sorted(self._vendor, key=lambda one: one.key is None)
            )
        except EncodeError:
            return None
        return native.Program(
            identity=source_of(stream.venue_id) if stream.venue_id is not None else None,
            row=self._row,
            before=self._prefix.encode(),
            nullable=record.schema.fields[record.schema.index("vendor_data")].nullable,
            sources=tuple(self._sources),
            entries=entries,
            keeps=stream.unmapped,
            mapped=frozenset(stream.mapped_keys),
            time_at=places[profile.time],
            price_at=places[profile.price] if profile.price is not None else -1,
            time_source=f"{profile.time}_source",
            scoped=scope.make if scope is not None else None,
            scope=tuple(places[name] for name in scope.fields) if scope is not None else (),
            empty=self._empty(),
            numbers=tuple(places[name] for name in content.numbers),
            words=tuple(places[name] for name in content.words),
            timed=content.timed,
            spell=exactjson.spell,
            unusual=_UNUSUAL,
            odd=CONVERSION_ERRORS,
            envelope=Envelope,
            schema=record.schema,
            identified=profile.id is not None,
        )

    def _empty(self) -> tuple[int, ...]:
        """The values that may not all be zero; none where they may, or where one of them is always another."""
        names = self._record.profile.never_all_zero if self._stream.empty != "keep" else ()
        if any(self._always.get(name) for name in names):
            return ()
        return tuple(self._places[name] for name in names if name in self._places)

    def _always_empty(self) -> bool:
        """Whether no item says any of the values that may not all be zero."""
        names = self._record.profile.never_all_zero if self._stream.empty != "keep" else ()
        return bool(names) and not any(name in self._places or self._always.get(name) for name in names)


_INGESTION = Field("ingestion_timestamp", lambda item, scope: scope.received_at, "$received_at", "receipt time")


def _place(field: Field) -> Place | None:
    """The paths that C follows to the value of a field; None where Python reads it."""
    paths = field.direct.paths if field.direct is not None else ()
    if not 0 < len(paths) <= _PATHS or any(len(steps) > _STEPS for _, steps in paths):
        return None
    return tuple((_ROOTS[root], steps) for root, steps in paths)


def source_of(field: Field) -> Source:
    """How a field is read."""
    direct, place = field.direct, _place(field)
    if place is None and field.joined is not None:
        how = _JOINED if field.joined.minutes is None else _JOINED_TIME
        return None, None, field.read, how, 0, 1, 0, 1, field.joined
    if direct is None:
        return None, None, field.read, _RECEIPT if field.receipt else 0, 0, 1, 0, 1, field.receipt or None
    found = place or direct.get
    convert, kind = None if direct.rounded else direct.convert, direct.conversion
    if kind is None:
        return found, convert, field.read, 0, 0, 1, 0, 1, None
    table: Any = (kind.rounds, f"{kind.rounds}_exact") if kind.rounds else kind.table
    if field.receipt and kind.kind in _RECEIPTS:
        table = field.receipt
    return found, convert, field.read, _HOW[kind.kind], kind.scale, kind.factor, kind.least, kind.below, table


def _given(at: int) -> Source:
    """A value that the caller has: the one in this place."""
    return None, None, None, _GIVEN, at, 1, 0, 1, None


def _pieces(
    fields: Sequence[SchemaField], known: Mapping[str, object], places: Mapping[str, int]
) -> tuple[Piece, ...]:
    """The pieces of the body in schema order; neighbouring constant fields are one piece. What C cannot write, Python
    does.
    """
    found: list[Piece] = []
    same = b""
    for field in fields:
        if field.name in known:
            same += fixed_bytes(field, known[field.name])
            continue
        if same:
            found.append(("c", False, 0, 1, same))
            same = b""
        at, kind = places[field.name], _KINDS.get(field.kind)
        if kind is None or (field.nullable and not field.null_first) or field.precision > native.most_digits:
            found.append(("p", False, at, 1, checked_writer(field)))
        else:
            below = 10**field.precision if field.kind == "decimal" else 1
            found.append((kind, field.nullable, at, below, _names(field)))
    return (*found, ("c", False, 0, 1, same)) if same else tuple(found)


def _names(field: SchemaField) -> dict[str, bytes] | None:
    """The encoded bytes of each name of an enum (without the branch of a union, which is written separately)."""
    return _symbol_bytes(tuple(field.symbols)) if field.kind == "enum" else None


@lru_cache(maxsize=256)
def _symbol_bytes(symbols: tuple[str, ...]) -> dict[str, bytes]:
    """Shared by all mappers, which only read it."""
    plain = SchemaField("name", "enum", symbols=symbols)
    return {name: fixed_bytes(plain, name) for name in symbols}


def _prefixed(text: str) -> bytes:
    """A string as Avro encodes it; raises EncodeError for an unpaired surrogate."""
    try:
        body = text.encode()
    except UnicodeEncodeError:
        raise EncodeError("vendor_data", text, "bad-type", "half a surrogate pair is not text") from None
    return fixed_bytes(_LONG, len(body)) + body


_LONG = SchemaField("length", "long")
