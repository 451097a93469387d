"""The general mapper: from any item to its record, by every rule of the connector file.

It collects the values of the record in schema order and then encodes them. Values that every record of the stream has
in common are filled in before. What is wrong with an item is reported here, as a RecordError with its place.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.engine.identity.id_scope import id_scope
from k2conn.engine.identity.record_content import SNAPSHOT, content_fields, content_maker
from k2conn.engine.mapping.carried_fields import CarriedFields
from k2conn.engine.mapping.mapped_record import MOST_MEMBERS, MappedRecord
from k2conn.engine.mapping.native_mapper import CONVERSION_ERRORS
from k2conn.engine.mapping.row_identity import as_in_v2, numbering
from k2conn.engine.mapping.symbol_contexts import SymbolContext
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Stream
from k2conn.records import RecordType
from k2conn.scope import Scope


class GeneralMapper:
    """Maps the items of one stream to records."""

    def __init__(
        self, exchange: str, stream: Stream, record: RecordType, always: Mapping[str, object], most: int
    ) -> None:
        """``always``: the fields that all records of the stream have in common. ``most``: symbols whose carried fields
        are known.
        """
        schema, profile = record.schema, record.profile
        self._stream = stream
        self._schema = schema
        self._prefix = exchange + "-"
        at = self._at = {field.name: place for place, field in enumerate(schema.fields)}
        carried = stream.carry.fields if stream.carry else ()
        self.carried = CarriedFields(stream.carry, stream.name, at, most) if stream.carry else None
        own = [field for field in stream.fields if field.name not in carried]
        self._readers = tuple((at[field.name], field.read) for field in own)
        self._direct = tuple(
            (at[field.name], field.key, field.direct.convert) for field in own if field.key is not None and field.direct
        )
        self._indirect = tuple((at[field.name], field.read) for field in own if field.key is None)
        vendor = [field for field in stream.vendor_data if not field.of_symbol]
        self._vendor = tuple((field.name, field.read) for field in vendor)
        self._vendor_keys = tuple((field.name, field.key) for field in vendor if field.key is not None)
        self._vendor_rest = tuple((field.name, field.read) for field in vendor if field.key is None)
        self._blank = [always.get(field.name) for field in schema.fields]
        """The record's values before an item is read."""
        self._identity_at = tuple((name, at.get(name), record.more_places.get(name)) for name in stream.identity)
        self._key_at = tuple(at[name] for name in profile.key) if not stream.identity else ()
        self._state_at = tuple((at[name], record.more_places.get(name)) for name in profile.content)
        self._i_closed = at[profile.closed] if profile.closed is not None else None
        self._i_own = at[profile.id] if profile.id is not None else None
        self._scope = scope = id_scope(stream, record)
        self._scope_at = tuple(at[name] for name in scope.fields) if scope is not None else ()
        self._shared_id = stream.venue_id is not None and profile.id in stream.identity
        self._i_price = at[profile.price] if profile.price is not None else None
        self._i_time = at[profile.time]
        self._microseconds = record.microseconds
        numbers, words, self._timed = content_fields(stream, record)
        self._content = content_maker([at[name] for name in numbers], [at[name] for name in words])
        self._time_source = f"{profile.time}_source"
        self._i_id, self._i_symbol = at["message_id"], at["symbol"]
        filled = {name: at[name] for name in profile.engine}
        self._i_currency = filled.get("currency")
        self._i_received = filled.get("ingestion_timestamp")
        self._i_vendor = filled.get("vendor_data")

    def made(
        self, item: Any, context: SymbolContext, scope: Scope, carried: Iterable[tuple[int, Any]], snapshot: bool
    ) -> MappedRecord:
        """The record of an item; ``carried`` are pairs of index and value that are not read from it. Raises
        RecordError.
        """
        values = self._read(item, scope)
        timed = self._timed and self._time_source not in scope.notes
        for at, value in carried:
            values[at] = value
        self._finish(item, values, context, scope, snapshot)
        body, event = context.encode(values), values[self._i_time] * self._microseconds
        received = 0 if snapshot else scope.received_at
        envelope = Envelope(context.topic, context.key, body, self._schema, event // 1000, context.account, received)
        price = values[self._i_price] if self._i_price is not None else None
        content = self._content(values, event if timed else 0) + (SNAPSHOT if snapshot else b"")
        return MappedRecord(values[self._i_id], event, price, envelope, content)

    def _read(self, item: Any, scope: Scope) -> list[Any]:
        """The mapped fields in schema order; raises RecordError.

        Most fields are one key of the item and are converted directly. Only where that fails do the full readers
        decide what the value is, or what is wrong with it.
        """
        values = self._blank.copy()
        if type(item) is dict:
            get, notes, unknown_sides = item.get, dict(scope.notes), scope.unknown_sides  # of what is carried
            try:
                for at, key, convert in self._direct:
                    values[at] = convert(get(key))
                for at, read in self._indirect:
                    values[at] = read(item, scope)
                return values
            except CONVERSION_ERRORS:
                scope.notes, scope.unknown_sides = notes, unknown_sides
        for at, read in self._readers:
            values[at] = read(item, scope)
        return values

    def _finish(self, item: Any, values: list[Any], context: SymbolContext, scope: Scope, snapshot: bool) -> None:
        """Fills in the fields that the engine provides: ids, symbol, currency, receipt time, vendor_data."""
        stream = self._stream
        if self._key_at:
            own = self._key(values)
        elif stream.venue_id is None:
            own = self._own_id(values, context, scope)
        else:
            try:
                own = stream.venue_id.read(item, scope)
            except RecordError as error:
                if error.reason != "missing-field" or not stream.identity:
                    raise
                own = self._own_id(values, context, scope)
        if self._i_own is not None:
            values[self._i_own] = self._prefix + own
        if self._shared_id:
            own = self._own_id(values, context, scope)
        if self._scope is not None:
            own = self._scope.make(own, [values[at] for at in self._scope_at])
        values[self._i_id] = context.ids.make(own) if stream.message_id != "random" else str(uuid.uuid4())
        values[self._i_symbol] = context.symbol
        if self._i_currency is not None:
            currency = stream.currency
            values[self._i_currency] = context.currency if currency is None else currency.read(item, scope)
        if self._i_received is not None:
            values[self._i_received] = scope.received_at
        if self._i_vendor is not None:
            values[self._i_vendor] = self._vendor_data(item, context, scope, snapshot)
        elif scope.notes:
            scope.notes = {}

    def _key(self, values: list[Any]) -> str:
        """The id of a record that has a key: the key's values. A state of something that is not over yet has what it
        says behind them, so that each is a record of its own, and the last one has the key alone.
        """
        key = [values[at] for at in self._key_at]
        if self._i_closed is not None and values[self._i_closed] is False:
            key.append("open")
            key += [as_in_v2(values[at], more) if more else values[at] for at, more in self._state_at]
        return "|".join(map(str, key))

    def _own_id(self, values: list[Any], context: SymbolContext, scope: Scope) -> str:
        """An id for a record that has none: time, a digest of the declared fields, and a number among equals."""
        row = "|".join(
            [f"{name}={as_in_v2(values[at], more) if more else values[at]}"
             for name, at, more in self._identity_at if at is not None]
        )
        digest = hashlib.sha1(row.encode(), usedforsecurity=False).hexdigest()[:16]
        numbered = numbering(self._stream, context.symbol)
        number = numbered(scope, digest) if numbered is not None else 0
        return f"{values[self._i_time]}-{digest}-{number}"

    def _vendor_data(self, item: Any, context: SymbolContext, scope: Scope, snapshot: bool) -> dict[str, str]:
        found = context.vendor.copy()
        rest = self._vendor
        if type(item) is dict:
            get = item.get
            for name, key in self._vendor_keys:
                value = get(key)
                if value is not None:
                    found[name] = value if type(value) is str else exactjson.spell(value)
            rest = self._vendor_rest
            if self._stream.unmapped and not item.keys() <= self._stream.mapped_keys:
                self._keep_unmapped(item, found)
        for name, read in rest:
            text = read(item, scope)
            if text is not None:
                found[name] = text
        if snapshot:
            found["snapshot"] = "true"
        if scope.notes:
            found.update(scope.notes)
            scope.notes = {}
        return found

    def _keep_unmapped(self, item: dict[str, Any], found: dict[str, str]) -> None:
        mapped = self._stream.mapped_keys
        if len(item) > MOST_MEMBERS:
            detail = f"the item has {len(item)} members, which are more than {MOST_MEMBERS}"
            raise RecordError("vendor_data", None, None, "record-too-large", detail)
        for key, value in item.items():
            if key not in mapped and value is not None:
                found.setdefault(key, value if type(value) is str else exactjson.spell(value))

