"""Messages to envelopes: one mapping for each stream, compiled from its plan.

The hot path: everything that does not depend on the item (schema positions, constants, the symbol's key, id seed and
vendor_data) is prepared once, the rest is one call for each field. An item that cannot become a record costs one dead
letter, never its neighbours.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from k2conn import exactjson
from k2conn.avro import load_schema
from k2conn.engine.breaks import BreakTracker
from k2conn.engine.deadletter import dead_letter
from k2conn.engine.gaps import Gap, GapTracker, Numbers
from k2conn.engine.identity import IdMaker, Ordinals
from k2conn.engine.kernel import Address
from k2conn.engine.ledger import NOWHERE, Account, Ledger
from k2conn.engine.shortcut import Quick, Shortcuts
from k2conn.engine.symbolstate import CARRY, FIRST, ORDINALS
from k2conn.engine.window import Window
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Plan, Scope, Stream, Symbol

_QUICK = (RecordError, KeyError, TypeError)
"""What a quick converter raises where the complete reader must decide."""


Encode = Callable[[list[Any]], bytes]


class Line:
    """What is known of one symbol on one stream, prepared once."""

    __slots__ = (
        "account", "currency", "encode", "ids", "key", "numbers", "quick", "resolved", "symbol", "topic", "vendor",
    )

    def __init__(self, plan: Plan, stream: Stream, symbol: Symbol, account: Account, encode: Encode) -> None:
        self.resolved = symbol
        self.encode = encode
        self.symbol = symbol.record
        self.currency = symbol.quote
        self.key = symbol.record.encode()
        self.account = account
        self.topic = stream.kafka_topics.get(symbol.asset_class, stream.kafka_topic)
        self.ids = IdMaker(plan.exchange, stream.name, symbol.record)
        self.vendor = {
            "native_symbol": symbol.native,
            "base_asset": symbol.base,
            "quote_asset": symbol.quote,
            **dict(symbol.parts),
        }
        self.quick: Quick | None = None
        self.numbers: Numbers | None = None
        """What the gap tracker knows of a symbol whose records are numbered one by one."""


class StreamMapping:
    """Maps the messages of one stream; shared by all sockets of a connector."""

    def __init__(self, plan: Plan, stream: Stream, ledger: Ledger, window: Window) -> None:
        self.plan = plan
        self.stream = stream
        self.ledger = ledger
        self.window = window
        self.schema = load_schema(stream.record)
        self._lines: dict[str, Line] = {}
        self.symbols: dict[str, Symbol] = {}
        """The symbols seen so far, by our spelling."""
        self._prefix = plan.exchange + "-"
        names = [field.name for field in self.schema.fields]
        self._width = len(names)
        self._at = {name: at for at, name in enumerate(names)}
        carried = stream.carry.fields if stream.carry else ()
        self._carried_at = tuple(self._at[name] for name in carried)
        own = [field for field in stream.fields if field.name not in carried]
        self._readers = tuple((self._at[field.name], field.read) for field in own)
        self._direct = tuple(
            (self._at[field.name], field.direct.key, field.direct.convert) for field in own if field.direct
        )
        self._indirect = tuple((self._at[field.name], field.read) for field in own if not field.direct)
        self._symbol_key = stream.symbol.direct[0] if stream.symbol.direct else None
        self._vendor = tuple((field.name, field.read) for field in stream.vendor)
        self._vendor_keys = tuple((field.name, field.direct[0]) for field in stream.vendor if field.direct)
        self._vendor_rest = tuple((field.name, field.read) for field in stream.vendor if not field.direct)
        self._blank = self._constants()
        self._always = self._encoded_once()
        self._encode = self.schema.compile(self._always)
        self._shortcuts = Shortcuts(stream, self.schema, self._prefix, own)
        self._identity_at = tuple((name, self._at.get(name)) for name in stream.identity_fields)
        self._i_id = self._at[f"{stream.record}_id"]
        self._shared_id = stream.identity is not None and f"{stream.record}_id" in stream.identity_fields
        self._i_price = self._at.get("price", self._at.get("bid_price", 0))
        self._scale: int = 10 ** self.schema.fields[self._i_price].scale
        self._i_time = self._at["timestamp"]
        self._usual = (
            stream.symbol.direct is not None and stream.drop_when is None and stream.drop_first is None
            and stream.carry is None and not stream.reverse and not stream.each_key
            and (stream.each is None or stream.each_direct is not None)
        )
        """Whether its items can go the short way."""
        rule = stream.sequence
        self.gaps = GapTracker(stream.name, rule) if rule and rule.rule in ("contiguous", "linked") else None
        self._number_key = rule.key if rule and rule.rule == "contiguous" and rule.per == "symbol" else None
        self.breaks: BreakTracker | None = None
        """Where a stream without such numbers has a backfill that is on."""
        self.closed: list[Gap] = []
        """Reported gaps that have become whole since somebody last took them from here."""

    def follow(self, before: StreamMapping) -> None:
        """Goes on with the numbers of the mapping that this one replaces, where both count in the same way."""
        rules = (self.stream.sequence, before.stream.sequence)
        ours, theirs = (one and (one.rule, one.per, one.expression) for one in rules)
        if self.gaps is not None and before.gaps is not None and ours == theirs:
            self.gaps = before.gaps
        if self.breaks is not None and before.breaks is not None:
            self.breaks = before.breaks

    def _constants(self) -> list[Any]:
        """The record's values before an item is read."""
        values: list[Any] = [None] * self._width
        for name, value in self.stream.constants.items():
            values[self._at[name]] = value
        if "trade_conditions" in self._at:
            values[self._at["trade_conditions"]] = []
        return values

    def _encoded_once(self) -> dict[str, object]:
        """The fields that are the same in every record of the stream: they are encoded once."""
        mapped = {field.name for field in self.stream.fields}
        always: dict[str, object] = {**self.stream.constants, "platform_sequence": None}
        for name, value in (("trade_conditions", []), ("source_sequence", None)):
            if name in self._at and name not in mapped:
                always[name] = value
        return always

    # -- messages

    def take(self, message: Any, frame: str | bytes, scope: Scope, out: list[Envelope]) -> None:
        """Maps one message of this stream into ``out``; ``scope`` carries the receipt time and connection state."""
        stream = self.stream
        scope.message = message
        snapshot = stream.snapshot is not None and stream.snapshot.condition(message, scope)
        if self._usual and not snapshot and type(message) is dict:
            usual: Any = message if stream.each is None else message.get(stream.each_direct)
            kind = type(usual)
            if kind is dict or kind is list:
                self._everyday((usual,) if kind is dict else usual, frame, scope, out)
                return
        if stream.each is None:
            self._item(message, frame, scope, out, snapshot)
            return
        try:
            items: Any = stream.each(message, scope)
        except RecordError as error:
            self._dead(error.at("each", stream.each_text, None), None, frame, scope, out)
            return
        if type(items) is list:
            if stream.reverse:
                items = items[::-1]
            if stream.drop_first:
                self._first_batch(items, frame, scope, out, snapshot)
                return
            for item in items:
                self._item(item, frame, scope, out, snapshot)
        elif type(items) is dict and not stream.each_key:
            self._item(items, frame, scope, out, snapshot)
        elif type(items) is dict:
            for key, item in items.items():
                scope.key = key
                self._item(item, frame, scope, out, snapshot)
            scope.key = None
        elif items is not None:
            self._dead(RecordError("each", stream.each_text, items, "bad-type", "neither a list nor an object"),
                       None, frame, scope, out)
        else:
            self._dead(RecordError("each", stream.each_text, None, "missing-field", "the message has no items"),
                       None, frame, scope, out)

    def _first_batch(
        self, items: Iterable[Any], frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool
    ) -> None:
        """The first message of a symbol on a connection is its recent past: tagged or skipped as the spec says."""
        seen: set[str] = scope.state.setdefault(FIRST + self.stream.name, set())
        fresh: set[str] = set()
        for item in items:
            name = self._name(item, scope)
            first = name is not None and name not in seen
            if name is not None and first:
                fresh.add(name)
            if first and self.stream.drop_first == "skip" and (account := self._account(name)) is not None:
                account.filtered += 1
            else:
                self._item(item, frame, scope, out, snapshot or first)
        seen |= fresh

    def _name(self, item: Any, scope: Scope) -> str | None:
        try:
            name: str = self.stream.symbol.read(item, scope)
            return name
        except RecordError:
            return None  # said by _item, where it becomes a dead letter

    def _account(self, native: str | None) -> Account | None:
        """The books of a symbol; None where no rule reads it, which `_item` says."""
        try:
            return (self._lines.get(native) or self._open_line(native)).account if native else None
        except RecordError:
            return None

    # -- items

    def _everyday(self, items: Iterable[Any], frame: str | bytes, scope: Scope, out: list[Envelope]) -> None:
        """What `_item` does, for the items that have a shortcut; all others go there."""
        lines, symbol_key, number_key = self._lines, self._symbol_key, self._number_key
        gaps, breaks, window, heard = self.gaps, self.breaks, self.window, scope.heard
        received_at = scope.received_at
        for item in items:
            native = item.get(symbol_key) if type(item) is dict else None
            line = lines.get(native) if type(native) is str else None
            if line is None or line.quick is None:
                self._item(item, frame, scope, out, False)
                continue
            scope.symbol = line.resolved
            made = line.quick(item, scope)
            if made is None:
                self._item(item, frame, scope, out, False)
                continue
            identity, event, price, envelope = made
            account = line.account
            account.received += 1
            if heard is not None:
                heard.add(line.resolved.native)
            if gaps is not None:
                numbers = line.numbers
                number = item.get(number_key) if numbers is not None else None
                if type(number) is int and numbers is not None and number == numbers.last + 1:
                    numbers.last, numbers.epoch, numbers.event_us = number, scope.epoch, event  # as `see` would
                else:
                    self._counted(gaps, item, line, scope, event)
            elif breaks is not None:
                breaks.see(line.symbol, event, received_at, scope.epoch)
            if window.leg is not None or not window.size:
                if window.seen(identity):
                    account.duplicates += 1
                    continue
            elif identity in window.young or identity in window.old:
                account.duplicates += 1
                continue
            else:
                window.young[identity] = None
                if len(window.young) >= window.size:
                    window.turn()
            account.last_event_us = event
            account.last_received_us = received_at
            account.last_price = price
            out.append(envelope)

    def _counted(self, gaps: GapTracker, item: Any, line: Line, scope: Scope, event_us: int) -> None:
        """A record's number that is not simply the next one."""
        self._number(gaps, item, line, scope, event_us)
        line.numbers = gaps.numbers(line.symbol) if self._number_key is not None else None

    def _item(self, item: Any, frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool) -> None:
        stream = self.stream
        line: Line | None = None
        if scope.notes:
            scope.notes = {}
        try:
            everyday = type(item) is dict
            native = item.get(self._symbol_key) if everyday else None
            line = (self._lines.get(native) if type(native) is str else None) or self._line(item, scope)
            scope.symbol = line.resolved
            if scope.heard is not None:
                scope.heard.add(line.resolved.native)
            account = line.account
            if stream.drop_when is not None and stream.drop_when.condition(item, scope):
                account.filtered += 1
                if self.gaps is not None:
                    self._number(self.gaps, item, line, scope, 0)  # it came, though it is no record
                return
            carried = self._carried(item, line, scope) if stream.carry is not None else ()
            if carried is None:
                account.filtered += 1
                return
            if snapshot:
                if stream.skip_snapshot:
                    account.filtered += 1
                    return
                account.snapshots += 1
            made = line.quick(item, scope) if everyday and not snapshot and line.quick is not None else None
            if made is None:
                values = self._read(item, scope)
                for at, value in carried:
                    values[at] = value
                self._finish(item, values, line, scope, snapshot)
                body = line.encode(values)
                identity, event, price = values[0], values[self._i_time], values[self._i_price]
                envelope = Envelope(line.topic, line.key, body, self.schema, event // 1000, account)
            else:
                identity, event, price, envelope = made
        except RecordError as error:
            if line is None and self._dropped_unread(error, item, scope):
                return
            if line is not None and self.gaps is not None:
                self._number(self.gaps, item, line, scope, 0)
            self._dead(error, line, frame, scope, out)
            return
        account.received += 1
        if self.gaps is not None:
            self._counted(self.gaps, item, line, scope, event)
        elif self.breaks is not None:
            self.breaks.see(line.symbol, event, scope.received_at, scope.epoch)
        if scope.unknown_sides:
            account.unknown_sides += scope.unknown_sides
            scope.unknown_sides = 0
        if self.window.seen(identity):
            account.duplicates += 1
            return
        account.last_event_us = event
        account.last_received_us = scope.received_at
        account.last_price = price
        out.append(envelope)

    def _number(self, gaps: GapTracker, item: Any, line: Line, scope: Scope, event_us: int) -> None:
        """Tells the gap tracker of the record's number; a number that is none says nothing."""
        rule = self.stream.sequence
        assert rule is not None
        try:
            number = item.get(rule.key) if rule.key is not None and type(item) is dict else None
            if type(number) is not int:
                number = rule.read(item, scope)
            previous = rule.previous(item, scope) if rule.previous is not None else None
        except RecordError:
            gaps.unreadable += 1
            return
        if number is not None:
            key = line.symbol if rule.per == "symbol" else str(scope.epoch)
            closed = gaps.see(key, number, previous, scope.received_at, scope.epoch, event_us)
            if closed is not None and closed.reported is not None:
                self.closed.append(closed)

    def _line(self, item: Any, scope: Scope) -> Line:
        """The item's symbol; raises RecordError where there is none that is known."""
        native = self.stream.symbol.read(item, scope)
        return self._lines.get(native) or self._open_line(native)

    def _read(self, item: Any, scope: Scope) -> list[Any]:
        """The mapped fields in schema order; raises RecordError.

        Most fields are one key of the item: those are converted at once, and only where that fails do the complete
        readers decide what stands there, or what is wrong.
        """
        values = self._blank.copy()
        if type(item) is dict:
            get = item.get
            try:
                for at, key, convert in self._direct:
                    values[at] = convert(get(key))
                for at, read in self._indirect:
                    values[at] = read(item, scope)
                return values
            except _QUICK:
                scope.notes = {}
                scope.unknown_sides = 0
        for at, read in self._readers:
            values[at] = read(item, scope)
        return values

    def _dropped_unread(self, error: RecordError, item: Any, scope: Scope) -> bool:
        """What is no record by declaration needs no symbol that our rules read."""
        drop = self.stream.drop_when
        if error.reason != "unknown-symbol" or drop is None or not drop.condition(item, scope):
            return False
        self.ledger.account(self.stream.name, NOWHERE).filtered += 1
        return True

    def _finish(self, item: Any, values: list[Any], line: Line, scope: Scope, snapshot: bool) -> None:
        """Fills what the engine knows: identity, symbol, currency, receipt time, vendor_data."""
        stream, at = self.stream, self._at
        if stream.identity is None:
            own = self._own_id(values, line, scope)
        else:
            try:
                own = stream.identity.read(item, scope)
            except RecordError as error:
                if error.reason != "missing-field" or not stream.identity_fields:
                    raise
                own = self._own_id(values, line, scope)
        values[self._i_id] = self._prefix + own
        if self._shared_id:
            own = self._own_id(values, line, scope)
        values[0] = line.ids.make(own) if not stream.random_id else str(uuid.uuid4())
        values[at["symbol"]] = line.symbol
        values[at["currency"]] = line.currency if stream.currency is None else stream.currency.read(item, scope)
        values[at["ingestion_timestamp"]] = scope.received_at
        values[at["vendor_data"]] = self._vendor_data(item, line, scope, snapshot)

    def _own_id(self, values: list[Any], line: Line, scope: Scope) -> str:
        """An id for a record that has none: time, a digest of the declared fields, and a number among equals."""
        row = "|".join([f"{name}={values[at]}" for name, at in self._identity_at if at is not None])
        key = ORDINALS + self.stream.name
        ordinals = scope.state.get(key)
        if ordinals is None:
            ordinals = scope.state[key] = Ordinals()
        number = ordinals.number(f"{line.symbol}|{row}")
        digest = hashlib.sha1(row.encode(), usedforsecurity=False).hexdigest()[:16]
        return f"{values[self._i_time]}-{digest}-{number}"

    def _vendor_data(self, item: Any, line: Line, scope: Scope, snapshot: bool) -> dict[str, str]:
        found = line.vendor.copy()
        rest = self._vendor
        if type(item) is dict:
            get = item.get
            for name, key in self._vendor_keys:
                value = get(key)
                if value is not None:
                    found[name] = value if type(value) is str else exactjson.spell(value)
            rest = self._vendor_rest
            if self.stream.unmapped and not item.keys() <= self.stream.mapped_keys:
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
        mapped = self.stream.mapped_keys
        for key, value in item.items():
            if key not in mapped and value is not None:
                found.setdefault(key, value if type(value) is str else exactjson.spell(value))

    def _carried(self, item: Any, line: Line, scope: Scope) -> Iterable[tuple[int, Any]] | None:
        """The carried fields, by place; None before the symbol's first snapshot. Comes before all that can fail or
        skip the item: its news are the book's all the same.
        """
        carry = self.stream.carry
        assert carry is not None
        book: dict[str, list[Any]] = scope.state.setdefault(CARRY + self.stream.name, {})
        last = book.get(line.symbol)
        if carry.begin is not None and carry.begin.condition(scope.message, scope):
            last = None
        elif carry.begin is not None and last is None:
            return None
        now = list(last) if last is not None else list(carry.defaults)
        failed: RecordError | None = None
        for at, read in enumerate(carry.readers):
            try:
                now[at] = read(item, scope)
            except RecordError as error:
                if error.reason != "missing-field":
                    now[at] = None  # what it is now cannot be told, and it is not the old value
                if now[at] is None and failed is None:
                    failed = error
        book[line.symbol] = now
        if failed is not None:
            raise failed
        return zip(self._carried_at, now, strict=True)

    def _open_line(self, native: str) -> Line:
        symbol = self.plan.symbols.resolve(native)
        if symbol is None:
            detail = f"no symbol rule reads '{native[:40]}' ({self.plan.symbols.description})"
            raise RecordError("symbol", self.stream.symbol.expression, native, "unknown-symbol", detail)
        always = {**self._always, "asset_class": symbol.asset_class} if symbol.asset_class else self._always
        encode = self.schema.compile(always) if symbol.asset_class else self._encode
        line = Line(self.plan, self.stream, symbol, self.ledger.account(self.stream.name, symbol.record), encode)
        address = Address(line.topic, line.key, self.schema, line.account)
        line.quick = self._shortcuts.shortcut(symbol, line.vendor, always, line.ids, address)
        if len(self._lines) < 100_000:
            self._lines[native] = line
            self.symbols[symbol.record] = symbol
        return line

    def _dead(
        self, error: RecordError, line: Line | None, frame: str | bytes, scope: Scope, out: list[Envelope]
    ) -> None:
        account = line.account if line else self.ledger.account(self.stream.name, NOWHERE)
        account.received += 1
        scope.unknown_sides = 0
        self.ledger.dead_reasons[error.reason] += 1
        symbol = line.symbol if line else ""
        topic = line.topic if line else self.stream.kafka_topic
        out.append(dead_letter(self.plan.name, self.plan.exchange, self.stream.name, topic, symbol, error, frame,
                               scope.received_at, account))
