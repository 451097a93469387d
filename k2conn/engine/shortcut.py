"""The shortcut: an everyday item straight to the bytes of its record.

The complete way (`mapping`) gathers a record's values, vendor_data as a map among them, and then encodes them. Most
items of most streams need none of what makes that way long: they have their id, all their fields and only plain values.
For them everything that one symbol's records have in common is text or bytes already, and vendor_data is written as it
is read. An item that is anything but everyday gets None here and goes the complete way, which decides what it is; so a
shortcut may give up at any point, and never gives bytes that the complete way would not give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from k2conn import exactjson
from k2conn.avro import LENGTH_TEXT, Piece, RecordSchema, fixed_bytes
from k2conn.engine.identity import IdMaker
from k2conn.errors import RecordError
from k2conn.plan import Scope, Stream, Symbol

Quick = Callable[[dict[str, Any], Scope], tuple[list[Any], bytes] | None]
"""(item, scope) -> the record's values and its bytes; None where the complete way must be gone."""

Direct = Sequence[tuple[int, str, Callable[[Any], Any]]]
Indirect = Sequence[tuple[int, Callable[[Any, Scope], Any]]]
_UNUSUAL = (RecordError, KeyError, TypeError, IndexError, ValueError)
_SPELLED = {True: "true", False: "false"}


class Shortcuts:
    """The shortcuts of one stream; `shortcut` makes one symbol's."""

    def __init__(
        self, stream: Stream, schema: RecordSchema, prefix: str, blank: Sequence[Any], direct: Direct, indirect: Indirect
    ) -> None:
        self._stream = stream
        self._schema = schema
        self._prefix = prefix
        self._blank = list(blank)
        self._direct = tuple(direct)
        self._indirect = tuple(indirect)
        self._pieces: dict[bytes, list[Piece]] = {}
        """The middle of a record, by what of it belongs to the symbol: most symbols of a venue share a currency."""

    def shortcut(self, symbol: Symbol, vendor: dict[str, str], always: dict[str, object], ids: IdMaker) -> Quick | None:
        """One symbol's shortcut; None where the stream's records always need the complete way."""
        stream, fields = self._stream, self._schema.fields
        names = [field.name for field in fields]
        own = [*vendor, *(field.name for field in stream.vendor)]
        if (
            stream.identity is None or stream.identity.direct is None or stream.random_id or stream.carry is not None
            or stream.currency is not None or f"{stream.record}_id" in stream.identity_fields
            or names[:2] != ["message_id", f"{stream.record}_id"] or names[-1] != "vendor_data"
            or fields[-1].kind != "map<string>" or not fields[-1].null_first
            or len(set(own)) < len(own) or not all(name.isascii() and len(name) < len(LENGTH_TEXT) for name in own)
        ):
            return None
        known = {**always, "symbol": symbol.record, "currency": symbol.quote}
        first = 2
        while names[first] in known:
            first += 1
        try:
            after = b"".join([fixed_bytes(field, known[field.name]) for field in fields[2:first]]).decode("ascii")
            opening = "".join([_entry(name, text) for name, text in vendor.items()])
        except _UNUSUAL:
            return None
        pieces = self._middle(known, first, symbol)
        branch = "\x02" if fields[-1].nullable else ""
        return self._quick(ids, after, branch, opening, len(vendor), pieces, frozenset(own))

    def _middle(self, known: dict[str, object], first: int, symbol: Symbol) -> list[Piece]:
        key = symbol.quote.encode()
        if key not in self._pieces:
            self._pieces[key] = self._schema.pieces(known, first, len(self._schema.fields) - 1)
        return self._pieces[key]

    def _quick(
        self, ids: IdMaker, after: str, branch: str, opening: str, begun: int, pieces: list[Piece], own: frozenset[str]
    ) -> Quick:
        stream, blank, direct, indirect = self._stream, self._blank, self._direct, self._indirect
        assert stream.identity is not None
        assert stream.identity.direct is not None
        id_key, id_text = stream.identity.direct
        prefix, lengths, make = self._prefix, LENGTH_TEXT, ids.make
        more, ingested = len(prefix), self._schema.index("ingestion_timestamp")
        heads = [(_head(field.name), field.direct[0]) for field in stream.vendor if field.direct]
        rest = [(_head(field.name), field.read) for field in stream.vendor if not field.direct]
        mapped = stream.mapped_keys if stream.unmapped else None
        start = lengths[36]
        spelled, spell = _SPELLED, exactjson.spell

        def extra(item: dict[str, Any], mapped: frozenset[str]) -> list[str]:
            """The entries of unmapped keys; raises KeyError where one has the name of a mapped one."""
            found = []
            for key, value in item.items():
                if key not in mapped and value is not None:
                    if key in own:
                        raise KeyError(key)
                    found.append(_entry(key, spell(value)))
            return found

        def quick(item: dict[str, Any], scope: Scope) -> tuple[list[Any], bytes] | None:
            values = blank.copy()
            get = item.get
            try:
                for at, key, convert in direct:
                    values[at] = convert(get(key))
                for at, read in indirect:
                    values[at] = read(item, scope)
                identity = id_text(get(id_key))
                message_id = values[0] = make(identity)
                values[ingested] = scope.received_at
                head = f"{start}{message_id}{lengths[more + len(identity)]}{prefix}{identity}{after}"
                entries = []
                for name, key in heads:
                    value = get(key)
                    kind = type(value)
                    if kind is str:
                        entries.append(f"{name}{lengths[len(value)]}{value}")
                    elif kind is int:
                        text = str(value)
                        entries.append(f"{name}{lengths[len(text)]}{text}")
                    elif value is not None:
                        text = spelled[value] if kind is bool else spell(value)
                        entries.append(f"{name}{lengths[len(text)]}{text}")
                if mapped is not None and not item.keys() <= mapped:
                    entries += extra(item, mapped)
                for name, read in rest:
                    text = read(item, scope)
                    if text is not None:
                        entries.append(f"{name}{lengths[len(text)]}{text}")
                tail = f"{branch}{lengths[begun + len(entries)]}{opening}{''.join(entries)}\0"
                if head.isascii() and tail.isascii() and not scope.notes and not scope.unknown_sides:
                    parts = [head.encode()]
                    for piece in pieces:
                        parts.append(piece(values))
                    parts.append(tail.encode())
                    return values, b"".join(parts)
            except _UNUSUAL:
                pass
            scope.notes = {}
            scope.unknown_sides = 0
            return None

        return quick


def _head(name: str) -> str:
    return LENGTH_TEXT[len(name)] + name


def _entry(name: str, text: str) -> str:
    return f"{LENGTH_TEXT[len(name)]}{name}{LENGTH_TEXT[len(text)]}{text}"
