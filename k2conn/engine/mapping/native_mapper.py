"""Describes a stream's records to the native mapper (`k2conn.native`, in C).

A shortcut in C reads the everyday forms of a value itself (`plan.FastConversion` says which) and calls the Python
converter for all others; what it cannot do at all (a decimal of more than 38 digits, a kind of field it does not know)
makes `native_mapper` None, and the Python shortcut is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from k2conn import exactjson, native
from k2conn.avro import RecordSchema, SchemaField, fixed_bytes
from k2conn.engine.identity.record_content import ContentFields
from k2conn.engine.mapping.row_identity import RowIdentity
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import EncodeError
from k2conn.plan import Field, JoinedText, Stream
from k2conn.records import Profile

NativeMapper = Callable[..., Any]


class EnvelopeTemplate(NamedTuple):
    """What all envelopes of one symbol have in common."""

    topic: str
    symbol: bytes
    schema: RecordSchema
    account: DeliveryAccount


Path = tuple[int, tuple[str | int, ...]]
"""Where a plain path begins, and its steps."""
Place = tuple[Path, ...]
Source = tuple[Place | None, Callable[..., Any], int, int, int, int, int, dict[Any, str] | JoinedText | None]
Piece = tuple[str, bool, int, int, object]

_HOW = {"": 0, "decimal": 1, "whole": 2, "time": 3, "named": 4, "text": 5, "magnitude": 9, "signed": 10, "sign": 11,
        "cut": 12}
_RECEIVED, _JOINED, _JOINED_TIME = 6, 7, 8
_KINDS = {"long": "l", "int": "l", "timestamp-micros": "l", "timestamp-millis": "l", "date": "l", "boolean": "b",
          "decimal": "d", "enum": "e", "string": "s", "array<string>": "a"}
_ROOTS = {"item": 0, "message": 1, "state": 2, "key": 3, "received_at": 4}
_STEPS, _PATHS = 8, 4
"""Of a path that C follows, and paths to one value."""
_MOST = 64
"""Fields, and entries of vendor_data, that a record in C can have."""


def native_mapper(
    stream: Stream,
    schema: RecordSchema,
    profile: Profile,
    known: Mapping[str, object],
    order: Sequence[Field],
    sources: tuple[Source, ...],
    vendor: Mapping[str, str],
    seed: bytes,
    row: RowIdentity | None,
    prefix: str,
    unusual: tuple[type[Exception], ...],
    template: EnvelopeTemplate,
    content: ContentFields,
) -> NativeMapper | None:
    """The native mapper of one symbol; None where it does not support the stream's records.

    ``order`` are the fields that are read of each item, ``sources`` the same as `sources_of` gives them, ``known`` the
    values that all records of the symbol share, ``vendor`` the entries that all their vendor_data begin with, ``seed``
    what all their message ids are hashed from, ``row`` what tells records apart where their message ids are not the
    venue's own, ``template`` what all their envelopes have in common, ``content`` the
    fields that are a record's content.
    """
    places = {field.name: at for at, field in enumerate(order)} | {"ingestion_timestamp": len(order)}
    vendor_at = schema.index("vendor_data")
    body, rest = schema.fields[2:vendor_at], schema.fields[vendor_at + 1 :]
    if native.Mapper is None or not all(_can(field) for field in (*body, *rest) if field.name not in known):
        return None
    if max(len(order), len(body) + len(rest), len(stream.vendor_data)) >= _MOST:
        return None
    before, behind = _pieces(body, known, places), _pieces(rest, known, places)
    entries = tuple(
        (None, None, _prefixed(one.name) + _prefixed(one.expression)) if one.constant
        else (_place(one), one.read, _prefixed(one.name), one.joined.parts[0][4] if one.joined else None)
        for one in sorted(stream.vendor_data, key=lambda one: one.key is None)
    )
    found: NativeMapper = native.Mapper(
        seed=seed,
        identity=_source(stream.venue_id) if stream.venue_id is not None else None,
        row=row.parts if row is not None else (),
        numbered=row.numbered if row is not None else None,
        before=prefix.encode(),
        opening=b"".join(_prefixed(part) for entry in vendor.items() for part in entry),
        opened=len(vendor),
        nullable=schema.fields[vendor_at].nullable,
        sources=sources,
        pieces=(*before, *behind),
        behind=len(before),
        entries=entries,
        keeps=stream.unmapped,
        mapped=frozenset(stream.mapped_keys),
        names=frozenset((*vendor, *(one.name for one in stream.vendor_data))),
        scoped=any(_place(one) is None and not one.constant for one in (*order, *stream.vendor_data)),
        time_at=places[profile.time],
        price_at=places[profile.price] if profile.price is not None else -1,
        numbers=tuple(places[name] for name in content.numbers),
        words=tuple(places[name] for name in content.words),
        timed=content.timed,
        spell=exactjson.spell,
        unusual=unusual,
        envelope=Envelope,
        **template._asdict(),
    ).make
    return found


def sources_of(order: Sequence[Field]) -> tuple[Source, ...]:
    """How fields are read, for `native_mapper`: made once for a stream, for there may be very many symbols."""
    return (*map(_source, order), (((_ROOTS["received_at"], ()),), _source, _RECEIVED, 0, 1, 0, 1, None))


def _can(field: SchemaField) -> bool:
    known = field.kind in _KINDS and (field.null_first or not field.nullable)
    return known and (field.kind != "decimal" or field.precision <= native.most_digits)


def _place(field: Field) -> Place | None:
    """The paths that C follows to the value of a field; None where Python reads it."""
    paths = field.direct.paths if field.direct is not None else ()
    if not 0 < len(paths) <= _PATHS or any(len(steps) > _STEPS for _, steps in paths):
        return None
    return tuple((_ROOTS[root], steps) for root, steps in paths)


def _source(field: Field) -> Source:
    place = _place(field)
    if field.direct is None or place is None:
        if field.joined is None:
            return None, field.read, 0, 0, 1, 0, 1, None
        return None, field.read, _JOINED if field.joined.minutes is None else _JOINED_TIME, 0, 1, 0, 1, field.joined
    _, convert, how = field.direct
    if how is None:
        return place, convert, 0, 0, 1, 0, 1, None
    return place, convert, _HOW[how.kind], how.scale, how.factor, how.least, how.below, how.table


def _pieces(
    fields: Sequence[SchemaField], known: Mapping[str, object], places: Mapping[str, int]
) -> tuple[Piece, ...]:
    """The pieces of the body in schema order; neighbouring constant fields are one piece."""
    found: list[Piece] = []
    same = b""
    for field in fields:
        if field.name in known:
            same += fixed_bytes(field, known[field.name])
            continue
        if same:
            found.append(("c", False, 0, 1, same))
            same = b""
        below = 10**field.precision if field.kind == "decimal" else 1
        found.append((_KINDS[field.kind], field.nullable, places[field.name], below, _names(field)))
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
    return _length(len(body)) + body


def _length(size: int) -> bytes:
    return fixed_bytes(_LONG, size)


_LONG = SchemaField("length", "long")
