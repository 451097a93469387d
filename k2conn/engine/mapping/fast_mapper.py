"""The fast mapper: a plain item straight to the bytes of its record.

The general mapper collects a record's values, with vendor_data as a map, and then encodes them. Most items of most
streams do not need that: they have an id, all their fields and only plain values. For these, whatever the records of
one symbol have in common is encoded once in advance, and vendor_data is written while it is read. For any other item
the fast mapper returns None and the general mapper decides; so the fast mapper may give up at any point, but must never
return bytes that the general mapper would not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.avro import LENGTH_TEXT, Piece, fixed_bytes
from k2conn.engine.identity.message_ids import VARIANT, MessageIds
from k2conn.engine.identity.record_content import content_fields, content_maker
from k2conn.engine.mapping.native_mapper import EnvelopeTemplate, native_mapper, sources_of
from k2conn.engine.mapping.row_identity import RowIdentity, numbering, row_parts
from k2conn.engine.mapping.unrolled import body, row
from k2conn.envelope import Envelope
from k2conn.errors import EncodeError, RecordError
from k2conn.plan import Stream, Symbol
from k2conn.records import RecordType
from k2conn.scope import Scope

MOST_MEMBERS = 1000
"""Members of an item that may become a record: those that are not mapped go into its vendor_data."""
_FALLBACK_ERRORS = (RecordError, KeyError, TypeError, IndexError, ValueError)


class MappedRecord(NamedTuple):
    """A record in its envelope, and what deduplication and accounting need to know of it."""

    message_id: str
    event_us: int
    price: int | None
    """The headline price, unscaled; None where the record has none."""
    envelope: Envelope
    content: bytes
    """See `k2conn.engine.identity.record_content`."""


FastMapper = Callable[[dict[str, Any], Scope], MappedRecord | None]
"""(item, scope) -> the record; None for an item that the general mapper must decide."""


class FastMappers:
    """Makes the fast mapper of each symbol of a stream."""

    def __init__(self, stream: Stream, record: RecordType, prefix: str, always: Mapping[str, object]) -> None:
        """``always``: what all records of the stream have in common."""
        # A stream with `carry` has no fast mapper.
        own = [field for field in stream.fields if field.name not in always]
        self._stream = stream
        self._schema = record.schema
        self._profile = record.profile
        self._timed = record.microseconds == 1
        self._prefix = prefix
        self._direct = [(field.key, field.direct.convert) for field in own if field.key is not None and field.direct]
        self._reads = [field.read for field in own if field.key is None]
        self._vendor_at = record.schema.index("vendor_data") if "vendor_data" in self._profile.engine else -1
        self._order = sorted(own, key=lambda one: one.key is None)
        self._sources = sources_of(self._order)
        self._places = {field.name: at for at, field in enumerate(self._order)}
        self._places["ingestion_timestamp"] = len(self._order)
        """Where a record's values are while it is made."""
        self._content = content_fields(stream, record)
        self._row = row_parts(stream, record, self._order, always)
        self._pieces: dict[tuple[str, str], tuple[list[Piece], list[Piece]]] = {}
        """The middle of a record, and what is behind vendor_data, by (price currency, asset class): many symbols share
        them.
        """

    def fast_mapper(
        self, symbol: Symbol, vendor: Mapping[str, str], always: Mapping[str, object], ids: MessageIds, template:
        EnvelopeTemplate
    ) -> FastMapper | None:
        """The fast mapper of one symbol, whose records all have the values ``always`` and vendor_data that begins with
        ``vendor``. None where the stream's records need the general mapper.
        """
        names = [*vendor, *(field.name for field in self._stream.vendor_data)]
        known = {**always, "symbol": symbol.record}
        if "currency" in self._profile.engine:
            known["currency"] = symbol.price_currency
        if not self._eligible(known) or len(set(names)) < len(names):
            return None
        row = RowIdentity(self._row, numbering(self._stream, symbol.record)) if self._row else None
        try:
            native = native_mapper(self._stream, self._schema, self._profile, known, self._order, self._sources,
                            vendor, ids.seed, row, self._prefix, _FALLBACK_ERRORS, template, self._content)
        except EncodeError:
            return None
        own_id = self._stream.venue_id
        if native is not None or row is not None or own_id is None or own_id.key is None:
            return native
        fields = self._schema.fields
        first = next(at for at in range(2, len(fields)) if fields[at].name not in known)
        try:
            after = b"".join([fixed_bytes(field, known[field.name]) for field in fields[2:first]]).decode("ascii")
            heads = [_prefixed(name) for name in names]
            opening = "".join([_prefixed(name) + _prefixed(text) for name, text in vendor.items()])
        except _FALLBACK_ERRORS:
            return None
        if not all(text.isascii() for text in (self._prefix, opening, *heads)):
            return None
        key = symbol.price_currency, symbol.asset_class
        if key not in self._pieces:
            ends = (first, self._vendor_at), (self._vendor_at + 1, len(fields))
            middle, rest = (self._schema.pieces(known, begin, end, self._places) for begin, end in ends)
            self._pieces[key] = middle, rest
        return self._fast_mapper(ids, after, opening, heads, len(vendor), self._pieces[key], template)

    def _eligible(self, known: Mapping[str, object]) -> bool:
        """Whether the fast mapper can make records of this stream at all."""
        stream, fields, profile = self._stream, self._schema.fields, self._profile
        own_id, price = profile.id, profile.price
        return bool(
            (stream.venue_id is not None or self._row) and stream.message_id != "random"
            and stream.carry is None and stream.currency is None
            and [field.name for field in fields[:2]] == ["message_id", own_id]
            and stream.id_scope is None
            and self._vendor_at >= 2 and fields[self._vendor_at].null_first
            and self._timed and profile.time in self._places and (price is None or price in self._places)
            and all(field.name in known or field.name in self._places or at == self._vendor_at
                    for at, field in enumerate(fields) if at >= 2)
        )

    def _fast_mapper(  # everything that the inner function needs is a local name of this one
        self, ids: MessageIds, after: str, opening: str, heads: list[str], begun: int,
        pieces: tuple[list[Piece], list[Piece]], template: EnvelopeTemplate,
    ) -> FastMapper:
        stream, time_at = self._stream, self._places[self._profile.time]
        price_at = self._places[self._profile.price] if self._profile.price is not None else None
        numbers, words, timed = self._content
        content = content_maker(*([self._places[name] for name in names] for names in (numbers, words)))
        assert stream.venue_id is not None
        assert stream.venue_id.key is not None
        assert stream.venue_id.direct is not None
        id_key, id_text = stream.venue_id.key, stream.venue_id.direct.convert
        converts, reads = [convert for _, convert in self._direct], self._reads
        kept = list(zip(heads[begun:], stream.vendor_data, strict=True))
        plain = [(head, one.key) for head, one in kept if one.key is not None]
        rest = [(head, one.read) for head, one in kept if one.key is None]
        texts = [(head, f"{head}\x08true", f"{head}\x0afalse") for head, _ in plain]
        fields_end, plain_end = 1 + len(converts), 1 + len(converts) + len(plain)
        keys = [id_key, *(key for key, _ in self._direct), *(key for _, key in plain)]
        keys += [stream.symbol.key if stream.symbol.key is not None else id_key]
        grab = itemgetter(*keys)
        prefix, more, lengths, variant, state = self._prefix, len(self._prefix), LENGTH_TEXT, VARIANT, ids.state
        start, branch = lengths[36], "\x02" if self._schema.fields[self._vendor_at].nullable else ""
        whole = f"{branch}{lengths[begun + len(plain)]}{opening}"
        mapped = stream.mapped_keys if stream.unmapped else frozenset()
        usual = len(set(keys)) if stream.unmapped and mapped.issuperset(keys) else -1
        keeps, names = stream.unmapped, frozenset(heads)
        topic, key, schema, account = template
        spell, make, scoped = exactjson.spell, tuple.__new__, bool(reads or rest)
        convert, write, behind = row(converts), body(pieces[0]), tuple(pieces[1])

        def entry(head: str, value: Any) -> str:
            text = value if type(value) is str else spell(value)
            return f"{head}{lengths[len(text)]}{text}"

        def extra(item: dict[str, Any]) -> list[str]:
            """The entries of unmapped keys; raises KeyError where one has the same name as a mapped entry,
            ValueError where there are too many.
            """
            found = []
            if len(item) > MOST_MEMBERS:
                raise ValueError("too many members")
            for key, value in item.items():
                if key not in mapped and value is not None:
                    head = lengths[len(key)] + key
                    if head in names:
                        raise KeyError(key)
                    found.append(entry(head, value))
            return found

        def fast(item: dict[str, Any], scope: Scope) -> MappedRecord | None:
            full = True
            try:
                got = grab(item)
            except KeyError:
                full = False
                got = tuple(map(item.get, keys))
            except TypeError:
                return None  # not an object
            try:
                identity = id_text(got[0])
                values = convert(got)
                if reads:
                    values += [read(item, scope) for read in reads]
                values.append(scope.received_at)
                digest = state.copy()
                digest.update(identity.encode())
                d = digest.hexdigest()
                message_id = f"{d[:8]}-{d[8:12]}-5{d[13:16]}-{variant[d[16]]}{d[17:20]}-{d[20:32]}"
                head = f"{start}{message_id}{lengths[more + len(identity)]}{prefix}{identity}{after}"
                entries = [whole]
                for (name, true, false), value in zip(texts, got[fields_end:plain_end]):  # noqa: B905
                    kind = type(value)
                    if kind is str:
                        entries.append(f"{name}{lengths[len(value)]}{value}")
                    elif kind is int:
                        text = str(value)
                        entries.append(f"{name}{lengths[len(text)]}{text}")
                    elif kind is bool:
                        entries.append(true if value else false)
                    elif value is not None:
                        entries.append(entry(name, value))
                if keeps and not (full and len(item) == usual) and not item.keys() <= mapped:
                    entries += extra(item)
                for name, read in rest:
                    value = read(item, scope)
                    if value is not None:
                        entries.append(entry(name, value))
                if len(entries) != 1 + len(texts):
                    entries[0] = f"{branch}{lengths[begun + len(entries) - 1]}{opening}"
                entries.append("\0")
                tail = "".join(entries)
                if head.isascii() and tail.isascii() and not (scoped and (scope.notes or scope.unknown_sides)):
                    encoded = write(head.encode(), values, tail.encode())
                    for piece in behind:
                        encoded += piece(values)
                    event: int = values[time_at]
                    envelope = make(Envelope, (topic, key, encoded, schema, event // 1000, account, scope.received_at))
                    price = values[price_at] if price_at is not None else None
                    named_vendor = content(values, event if timed else 0)
                    return make(MappedRecord, (message_id, event, price, envelope, named_vendor))
            except _FALLBACK_ERRORS:
                pass
            scope.notes = {}
            scope.unknown_sides = 0
            return None

        return fast


def _prefixed(text: str) -> str:
    return LENGTH_TEXT[len(text)] + text
