"""Messages to envelopes: one mapping for each stream, compiled from its plan.

The hot path. What depends only on the symbol is prepared once (`symbol_contexts`). A plain item is mapped by the native
mapper of its symbol, any other by the general mapper. An item that cannot become a record becomes a dead letter and
does not affect the other items of its message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from k2conn.engine.accounting.dead_letter import Origin
from k2conn.engine.accounting.frame_letters import FrameLetters, finish_letters
from k2conn.engine.accounting.ledger import NOWHERE, Account, Ledger
from k2conn.engine.accounting.troubles import TroubleKind, short
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_tracker import GapTracker
from k2conn.engine.gaps.suspected_gaps import SuspectedGapTracker
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.identity.record_content import FETCHED
from k2conn.engine.mapping.carried_fields import CarriedFields
from k2conn.engine.mapping.empty_records import empty_records
from k2conn.engine.mapping.general_mapper import GeneralMapper
from k2conn.engine.mapping.latest_states import Arrival, latest_states
from k2conn.engine.mapping.mapped_record import MappedRecord
from k2conn.engine.mapping.nested_items import NO_ITEM, NestedItem, NestedItems, take_nested
from k2conn.engine.mapping.slices import AT_ONCE, Slices, slices
from k2conn.engine.mapping.symbol_contexts import SymbolContext, SymbolContexts
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.engine.symbol_state import FIRST
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Field, Getter, Plan, States, Stream, Symbol
from k2conn.records import load_record
from k2conn.scope import Scope


class StreamMapping:
    """Maps the messages of one stream; shared by all sockets of a connector."""

    def __init__(
        self, plan: Plan, stream: Stream, ledger: Ledger, window: DedupWindow, directory: SymbolDirectory,
        fetched: bool = False,
    ) -> None:
        """``fetched``: what it maps are rows of answers to calls, not messages."""
        self.plan = plan
        self.stream = stream
        self.ledger = ledger
        self.window = window
        self.directory = directory
        record = load_record(stream.record, stream.revision)
        self.schema = record.schema
        price = record.profile.price
        self.price_scale = record.field(price).scale if price is not None else None
        """Digits behind the point of the headline price, as records have it; None where they have none."""
        self.contexts = SymbolContexts(plan, stream, record, ledger, directory, self._awaited)
        self._general = GeneralMapper(plan.exchange, stream, record, self.contexts.always, ledger.most)
        self.empty = empty_records(stream, record)
        self._drop_when = stream.drop_when.condition if stream.drop_when is not None else None
        self._states = stream.states
        self._i_closed = self.schema.index(stream.states.field) if stream.states is not None else 0
        self._fetched = fetched
        self._may_turn = stream.order == "newest-first" or stream.other_order_when is not None
        """Whether the items of a message may have to be taken from the last one on."""
        self._find_symbol = _finder(stream.symbol)
        self._quick = stream.carry is None and not fetched and self.contexts.native_mappers.possible
        """Whether the rules of the stream allow the loop in `_map_fast` for items that are no snapshot."""
        self._settled: Mapping[str, tuple[int, int]] | None = None
        """While messages are met that were held: by key the latest number in the state of the process before, and its
        event time.
        """
        rule = stream.sequence
        counts = rule is not None and rule.rule in ("contiguous", "linked")
        self.gaps = GapTracker(stream.name, rule, ledger.most) if rule is not None and counts else None
        self._number_key = rule.key if rule and rule.rule == "contiguous" and rule.per == "symbol" else None
        self.suspected_gaps: SuspectedGapTracker | None = None
        """Set where a stream has no sequence numbers but has an enabled backfill."""
        self.closed: list[Gap] = []
        """Reported gaps that late records have closed; whoever reports them empties the list."""

    @property
    def symbols(self) -> dict[str, Symbol]:
        """The symbols seen so far, by our spelling."""
        return self.contexts.symbols

    def _awaited(self, symbol: str) -> bool:
        """Whether something may prove to be missing before a symbol's next record."""
        numbered = self.gaps is not None and self.gaps.numbers(symbol) is not None
        return numbered or (self.suspected_gaps is not None and self.suspected_gaps.knows(symbol))

    # -- messages

    def take(
        self, message: Any, frame: str | bytes, scope: Scope, out: list[Envelope], done: int = 0
    ) -> Slices | None:
        """Maps one message of this stream into ``out``; ``scope`` carries the receipt time and connection state. So
        many of its items as ``done`` says are mapped already.

        A message of very many items is not mapped yet: it comes back in slices, for the caller to take. Dead letters
        are the frame's (`Scope.letters`), whose end the caller knows.
        """
        stream = self.stream
        scope.message = message
        snapshot = stream.snapshot is not None and stream.snapshot.condition(message, scope)
        fast = self._quick and not snapshot and stream.first_batch == "keep" and self._settled is None
        if stream.each is None:
            if fast:
                self._map_fast(frame, scope, out, (message,))
            else:
                self._item(message, frame, scope, out, snapshot)
            return None
        if stream.inner:
            return self._take_nested(message, frame, scope, out, snapshot, fast)
        try:
            items: Any = stream.each(message, scope)
        except RecordError as error:
            self._add_dead_letter(error.at("each", stream.each_text, None), None, frame, scope, out)
            return None
        do: Callable[[Any], None]
        if fast and type(items) is list and len(items) <= AT_ONCE:
            turned = len(items) > 1 and self._may_turn and stream.newest_first(message, scope)
            items = items[::-1] if turned else items
            self._map_fast(frame, scope, out, items[done:] if done else items)
            return None
        if type(items) is dict and not stream.each_key:
            self._map_fast(frame, scope, out, (items,)) if fast else self._item(items, frame, scope, out, snapshot)
            return None
        do = partial(self._map_fast, frame, scope, out) if fast else partial(self._items, frame, scope, out, snapshot)
        if type(items) is list:
            if self._may_turn and stream.newest_first(message, scope):
                items = items[::-1]
            items = items[done:] if done else items
            if stream.first_batch != "keep":
                do = partial(self._first_batch, frame, scope, out, snapshot, set())
        elif type(items) is dict:
            items, do = list(items.items()), partial(self._keyed_items, scope, do)
        elif items is not None:
            wrong = RecordError("each", stream.each_text, items, "bad-type", "neither a list nor an object")
            self._add_dead_letter(wrong, None, frame, scope, out)
            return None
        else:
            wrong = RecordError("each", stream.each_text, None, "missing-field", "the message has no items")
            self._add_dead_letter(wrong, None, frame, scope, out)
            return None
        if len(items) > AT_ONCE:
            return slices(items, do, partial(self._refuse, frame, scope))
        do(items)
        return None

    def _items(
        self, frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool, items: Iterable[Any]
    ) -> None:
        for item in items:
            self._item(item, frame, scope, out, snapshot)

    def _take_nested(
        self, message: Any, frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool, fast: bool
    ) -> Slices | None:
        """The items of items of one message."""
        stream = self.stream
        map_them: Callable[[Iterable[Any]], None]
        map_them = partial(self._map_fast, frame, scope, out)
        if not fast:
            map_them = partial(self._items, frame, scope, out, snapshot)
        if stream.first_batch != "keep":
            map_them = partial(self._first_batch, frame, scope, out, snapshot, set())

        def do(items: Iterable[NestedItem]) -> None:
            for one in items:
                if one.error is not None:
                    self._add_dead_letter(one.error, None, frame, scope, out, None if one.item is message else one.item)
                elif one.found:
                    one.enter(scope)
                    map_them((one.item,))
            NO_ITEM.enter(scope)

        nested = NestedItems(stream, message, scope, stream.newest_first(message, scope))
        return take_nested(nested, do, partial(self._refuse, frame, scope))

    def _keyed_items(
        self, scope: Scope, do: Callable[[Iterable[Any]], None], items: Iterable[tuple[str, Any]]
    ) -> None:
        """The members of an object, of which each has its key in the scope while ``do`` maps it."""
        do(_keyed(items, scope))
        scope.key, scope.keys = None, ()

    def _first_batch(
        self, frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool, fresh: set[str],
        items: Iterable[Any],
    ) -> None:
        """The first message of a symbol on a connection holds its recent history, which is tagged as snapshot or
        skipped, as `first_batch` says. ``fresh`` collects the symbols whose first message this one is.
        """
        seen = self._begun(scope)
        fast = self._quick and not snapshot and self._settled is None
        for item in items:
            name = self._name(item, scope)
            if fast and name in seen and name not in fresh:
                self._map_fast(frame, scope, out, (item,))
                continue
            account = self._account(name) if name is not None and name not in seen else None
            if account is not None and name is not None and len(seen) < self.contexts.most:
                fresh.add(name)
                seen.add(name)
            first = name in fresh
            if first and self.stream.first_batch == "skip" and (account or (account := self._account(name))):
                account.filtered += 1
            else:
                self._item(item, frame, scope, out, snapshot or first)

    def _begun(self, scope: Scope) -> set[str]:
        """The symbols, by the venue's names, whose first message on this connection has come."""
        seen: set[str] = scope.state.setdefault(FIRST + self.stream.name, set())
        return seen

    def native_name(self, item: Any, scope: Scope) -> str | None:
        """The venue's name of an item's symbol; None where it must be read with all care."""
        try:
            found = self._find_symbol(item, scope)
        except RecordError:
            return None
        if type(found) is int:
            return str(found)
        return found if type(found) is str else None

    def _known(self, item: Any, scope: Scope) -> SymbolContext | None:
        """The context of an item whose symbol was met before; None where it must be read with all care."""
        native = self.native_name(item, scope)
        return self.contexts.known.get(native) if native is not None else None

    def _name(self, item: Any, scope: Scope) -> str | None:
        try:
            found = self._find_symbol(item, scope)
            if type(found) is str and found:
                return found
            name: str = self.stream.symbol.read(item, scope)
            return name
        except RecordError:
            return None  # `_item` turns it into a dead letter

    def _account(self, native: str | None) -> Account | None:
        """The account of a symbol; None where no symbol rule matches (`_item` reports that)."""
        try:
            return self.contexts.context(native).account if native else None
        except RecordError:
            return None

    # -- items

    def _map_fast(self, frame: str | bytes, scope: Scope, out: list[Envelope], items: Iterable[Any]) -> None:
        """Does what `_item` does, but faster, for items that the native mapper maps; passes all others to `_item`."""
        contexts, find_symbol, number_key = self.contexts.known, self._find_symbol, self._number_key
        gaps, suspected_gaps, window, heard = self.gaps, self.suspected_gaps, self.window, scope.heard
        received_at, drop_when = scope.received_at, self._drop_when
        plain = window.replica is None and window.size > 0
        for item in items:
            made = context = dropped = None
            try:
                native = find_symbol(item, scope)
                if type(native) is int:
                    native = str(native)
                context = contexts.get(native) if type(native) is str else None
                if context is not None:
                    fast = context.fast
                    if fast is None and not context.prepared:
                        fast = self.contexts.prepare(context)
                    if fast is not None:
                        scope.symbol = context.resolved
                        dropped = False if drop_when is None else bool(drop_when(item, scope))
                        if not dropped:
                            made = fast(item, scope)
            except RecordError:
                pass  # `_item` meets it again, and says it
            if context is None or made is None:
                self._item(item, frame, scope, out, False, context is not None, dropped)
                continue
            identity, event, price, envelope, content = made
            account = context.account
            if heard is not None:
                heard.add(context.resolved.native)
            admitted: str | None = identity
            if plain and identity not in window.young and identity not in window.old:
                window.young[identity] = content
                if len(window.young) >= window.size:
                    window.turn()
            else:
                admitted = window.admit(identity, content)
            if gaps is not None:
                numbers = context.numbers
                number = item.get(number_key) if numbers is not None and type(item) is dict else None
                if type(number) is int and numbers is not None and number == numbers.last + 1:
                    # the most common case of `GapTracker.see`, inlined
                    numbers.last, numbers.epoch, numbers.event_us = number, scope.epoch, event
                else:
                    self._track_number(gaps, item, context, scope, event, admitted is None)
            elif suspected_gaps is not None:
                suspected_gaps.see(context.symbol, event, received_at, scope.epoch)
            account.received += 1  # from here on nothing can fail: what is received has an outcome
            if scope.rounded is not None or scope.unknown_sides:
                self.count_oddities(context, scope)
            if admitted is not identity:
                if admitted is None:
                    account.duplicates += 1
                    continue
                envelope = self._told_apart(item, context, envelope, identity, admitted, scope)
            account.last_event_us = event
            account.last_received_us = received_at
            account.last_price = price
            out.append(envelope)

    @property
    def of_text(self) -> bool:
        """Whether its messages can be mapped that nobody has decoded, but for those that `special` knows."""
        stream = self.stream
        numbered = self.gaps is None or self._number_key is not None
        items = not stream.inner and not stream.each_key
        carried = self.stream.carry is None or self.carried_in_c is not None
        return carried and not self._fetched and numbered and items and self.contexts.native_mappers.of_text

    def items(self, message: Any, scope: Scope) -> list[Any]:
        """The items of a message that is mapped as `of_text` says, in the order in which they are mapped."""
        stream = self.stream
        found = message if stream.each is None else stream.each(message, scope)
        if type(found) is not list or stream.each is None:
            return [found]
        return found[::-1] if len(found) > 1 and self._may_turn and stream.newest_first(message, scope) else found

    @property
    def carried_in_c(self) -> Any:
        """What moves the fields in C that keep their last value; None where there are none, or it cannot."""
        return self._general.carried.in_c if self._general.carried is not None else None

    def special(self, message: Any, scope: Scope) -> bool:
        """Whether a message needs more than `of_text` says: a snapshot, or one without a record."""
        stream = self.stream
        if stream.snapshot is not None and stream.snapshot.condition(message, scope):
            return True
        if self._general.carried is not None and self._general.carried.begins(message, scope):
            return True
        return stream.each is None and self.drops(message, scope)

    def drops(self, item: Any, scope: Scope) -> bool:
        """Whether an item is no record, by the file's own words."""
        return self._drop_when is not None and bool(self._drop_when(item, scope))

    @property
    def number_key(self) -> str | None:
        """The key of an item's number, where the records of a symbol are numbered one by one."""
        return self._number_key if self.gaps is not None else None

    def native(self, name: str, scope: Scope) -> tuple[Any, SymbolContext, Account, Any] | None:
        """The native mapper of a symbol that was met before, by the venue's name; None where it has none, or where the
        connection has not had its first batch, or first values, yet; the last is what is known of those.
        """
        context = self.contexts.known.get(name)
        if context is None or (self.stream.first_batch != "keep" and name not in self._begun(scope)):
            return None
        fast = context.fast
        if fast is None and not context.prepared:
            fast = self.contexts.prepare(context)
        mapper = getattr(fast, "__self__", None)
        carried = self._general.carried
        latest = carried.latest(context.symbol, scope) if carried is not None else None
        if mapper is None or (carried is not None and latest is None):
            return None
        return mapper, context, context.account, latest

    def repeated(
        self, context: SymbolContext, made: MappedRecord, item: Any, scope: Scope
    ) -> Envelope | None:
        """A record whose id the window has: None where it came before, else the record under the id that it gets."""
        identity, event, price, envelope, content = made
        admitted, account = self.window.admit(identity, content), context.account
        account.received += 1
        if admitted is None:
            account.duplicates += 1
            return None
        if admitted is not identity:
            envelope = self._told_apart(item, context, envelope, identity, admitted, scope)
        account.last_event_us, account.last_received_us, account.last_price = event, scope.received_at, price
        return envelope

    def _told_apart(
        self, item: Any, context: SymbolContext, envelope: Envelope, identity: str, admitted: str, scope: Scope
    ) -> Envelope:
        """A record whose id is another record's, under an id of its own."""
        context.account.conflicts += 1
        self.ledger.troubles.note(
            TroubleKind.CONFLICT, self.stream.name, "equal id, other content", scope.received_at,
            lambda: {"symbol": context.symbol, "id": self._venue_id(item, scope), "item": short(item)},
        )
        return envelope._replace(value=envelope.value.replace(identity.encode(), admitted.encode(), 1))

    def _venue_id(self, item: Any, scope: Scope) -> str | None:
        """The venue's own id of an item, as far as it can be read."""
        own = self.stream.venue_id
        try:
            return short(own.read(item, scope)) if own is not None else None
        except RecordError:
            return None

    def _track_number(
        self, gaps: GapTracker, item: Any, context: SymbolContext, scope: Scope, event_us: int, repeat: bool
    ) -> None:
        """A record's number that is not simply the next one."""
        self._number(gaps, item, context, scope, event_us, repeat)
        context.numbers = gaps.numbers(context.symbol) if self._number_key is not None else None

    def _item(
        self, item: Any, frame: str | bytes, scope: Scope, out: list[Envelope], snapshot: bool, tried: bool = False,
        dropped: bool | None = None,
    ) -> None:
        """Maps any item. ``tried``: the native mapper has already returned None for it; ``dropped``: whether it is one
        that `drop_when` drops, where that was asked.
        """
        context: SymbolContext | None = None
        try:
            context = self._known(item, scope) or self._context(item, scope)
            scope.symbol = context.resolved
            if scope.heard is not None:
                scope.heard.add(context.resolved.native)
            account = context.account
            if dropped is None:
                dropped = self.drops(item, scope)
            if dropped:
                account.filtered += 1
                if self.gaps is not None and self._is_over(item, scope):
                    self._number(self.gaps, item, context, scope, 0)  # received, though it makes no record
                return
            if self._states is not None:
                self._state(self._states, Arrival(item, scope.message, frame, scope.received_at, snapshot), context,
                            scope, out)
                return
            if self._general.carried is not None:
                self._carried(self._general.carried, item, context, scope, out, snapshot)
                return
            self._publish(item, context, scope, out, snapshot, (), not snapshot and not tried)
        except RecordError as error:
            if context is None and self._dropped_unread(error, item, scope):
                return
            if context is not None and self.gaps is not None and self._states is None:
                self._number(self.gaps, item, context, scope, 0)
            self._add_dead_letter(error, context, frame, scope, out, item)
        finally:
            scope.forget_item()

    def count_oddities(self, context: SymbolContext, scope: Scope) -> None:
        """Counts what the converters of a record have left for the books."""
        if scope.rounded is not None:
            self.ledger.count_rounded(self.stream.name, context.symbol, *scope.rounded)
            scope.rounded = None
        context.account.unknown_sides += scope.unknown_sides
        scope.unknown_sides = 0

    def _publish(
        self, item: Any, context: SymbolContext, scope: Scope, out: list[Envelope], snapshot: bool,
        carried: Sequence[tuple[int, Any]], quick: bool = False, over: bool = True,
    ) -> bool:
        """Maps an item that is a record, False where it is filtered; raises RecordError where it cannot be one.
        ``quick``: the native mapper may do it; ``over``: it is no mere state of something that goes on.
        """
        account = context.account
        if snapshot:
            if self.stream.snapshot_action == "skip":
                account.filtered += 1
                return False
            account.snapshots += 1
        fast = context.fast if quick else None
        made = None
        if fast is not None and not carried:
            made = fast(item, scope)
        elif fast is not None and not scope.oddities:  # else the record has them from reading what is carried
            made = fast(item, scope, carried)
        if made is None:
            made = self._general.made(item, context, scope, carried, snapshot)
        identity, event, price, envelope, content = made
        if not price and self.empty is not None and self.empty.holds(envelope):
            if not self.empty.dropped:
                raise self.empty.error()
            account.filtered += 1
            if self.gaps is not None:
                self._number(self.gaps, item, context, scope, 0)
            return False
        if self._fetched:
            content += FETCHED
            envelope = envelope._replace(received_us=0)
        admitted = self.window.admit(identity, content)
        if self._settled and admitted is not None and self._is_settled(self._settled, item, context, scope, event):
            admitted = None
        if over and (self.gaps is not None or self.suspected_gaps is not None):
            span = self.stream.span
            until = event if span is None else span.end_us(item, scope)
            if self.gaps is not None:
                self._track_number(self.gaps, item, context, scope, until, admitted is None)
            elif self.suspected_gaps is not None:
                self.suspected_gaps.see(context.symbol, until, scope.received_at, scope.epoch)
        account.received += 1
        if scope.rounded is not None or scope.unknown_sides:
            self.count_oddities(context, scope)
        if admitted is None:
            account.duplicates += 1
            return True
        if admitted is not identity:
            envelope = self._told_apart(item, context, envelope, identity, admitted, scope)
        account.last_event_us = event
        account.last_received_us = scope.received_at
        account.last_price = price
        out.append(envelope)
        return True

    def _carried(
        self, fields: CarriedFields, item: Any, context: SymbolContext, scope: Scope, out: list[Envelope],
        snapshot: bool,
    ) -> None:
        """An item that says what has changed; raises RecordError where the fields as they are now are no record."""
        values = fields.take(item, context.symbol, scope)
        if values is None:
            context.account.filtered += 1
            if self.gaps is not None and self.stream.carry is not None and self.stream.carry.changes_only:
                self._number(self.gaps, item, context, scope, 0)  # received, though it makes no record
            return
        if self._publish(item, context, scope, out, snapshot, values, not snapshot):
            fields.published(context.symbol, scope)

    # -- states of something that is over some day

    def _is_over(self, item: Any, scope: Scope) -> bool:
        """Whether an item is the last state of its span, as far as it says so; True where items are no states."""
        closed = self._states.closed if self._states is not None else None
        try:
            return self._states is None or (closed is not None and closed(item, scope) is True)
        except RecordError:
            return False

    def _state(
        self, states: States, arrival: Arrival, context: SymbolContext, scope: Scope, out: list[Envelope]
    ) -> None:
        """One state: of something that is over, it is a record; of what goes on, only where the stream keeps these."""
        item = arrival.item
        if states.closed is not None:
            over = states.closed(item, scope) is True
        else:
            assert self.stream.span is not None
            begin = self.stream.span.begin(item, scope)
            over, last, unkept = latest_states(scope.state).take(
                self.stream.name, context.symbol, begin, arrival, self.ledger.most
            )
            if last is not None:
                self._publish_last(last, context, scope, out)
            if unkept is not None:
                raise unkept
        if not over and not states.keep_open:
            context.account.filtered += 1
            return
        self._publish(item, context, scope, out, arrival.snapshot, ((self._i_closed, over),), over=over)

    def _publish_last(self, last: Arrival, context: SymbolContext, scope: Scope, out: list[Envelope]) -> None:
        """What came last of something that has just proved to be over; as a record of the moment when it came."""
        now, message, letters = scope.received_at, scope.message, scope.letters
        scope.received_at, scope.message, scope.letters = last.received_at, last.message, None
        made = len(out)
        try:
            self._publish(last.item, context, scope, out, last.snapshot, ((self._i_closed, True),))
        except RecordError as error:
            self._add_dead_letter(error, context, last.frame, scope, out, last.item)
        finally:
            finish_letters(scope, out)  # those of the frame that it came with
            scope.received_at, scope.message, scope.letters = now, message, letters
            scope.forget_item()
        if len(out) > made and out[-1].received_us:
            out[-1] = out[-1]._replace(received_us=now)

    def _number(
        self, gaps: GapTracker, item: Any, context: SymbolContext, scope: Scope, event_us: int, repeat: bool = False
    ) -> None:
        """Tells the gap tracker of the record's number; a number that is none says nothing."""
        rule = self.stream.sequence
        assert rule is not None
        try:
            number, key = self._number_of(item, context, scope)
            previous = rule.previous(item, scope) if rule.previous is not None else None
        except RecordError:
            gaps.unreadable += 1
            return
        if number is None:
            return
        if key is None:
            gaps.unreadable += 1
            return
        closed = gaps.see(key, number, previous, scope.received_at, scope.epoch, event_us, repeat)
        if closed is not None and closed.reported is not None:
            self.closed.append(closed)

    def _number_of(self, item: Any, context: SymbolContext, scope: Scope) -> tuple[int | None, str | None]:
        """An item's number, None where it has none, and the key that it counts under, None where that cannot be told.
        Raises RecordError.
        """
        rule = self.stream.sequence
        assert rule is not None
        number = item.get(rule.key) if rule.key is not None and type(item) is dict else None
        if type(number) is not int:
            number = rule.read(item, scope)
        within = rule.group(item, scope) if rule.group is not None else ""
        if within is None:
            return number, None
        return number, within or (context.symbol if rule.per == "symbol" else str(scope.epoch))

    # -- going on where another process was

    def meet_held(self) -> None:
        """From now on messages are taken that came before the state of another process did. What that has is a repeat,
        also where it is so old that no window of ids reaches back to it: where numbers are contiguous they tell.
        """
        rule = self.stream.sequence
        told = self.gaps is not None and rule is not None and rule.rule == "contiguous" and self.stream.span is None
        self._settled = (self.gaps.latest() or None) if told and self.gaps is not None else None

    def caught_up(self) -> None:
        """All such messages were taken."""
        self._settled = None

    def _is_settled(
        self, settled: Mapping[str, tuple[int, int]], item: Any, context: SymbolContext, scope: Scope, event_us: int
    ) -> bool:
        """Whether the state that was taken in has a record already, by its number."""
        try:
            number, key = self._number_of(item, context, scope)
        except RecordError:
            return False
        before = settled.get(key) if key is not None else None
        known = self.gaps.numbers(key) if key is not None and self.gaps is not None else None
        if number is None or before is None or known is None:
            return False
        return known.had(number, event_us, *before)

    def _context(self, item: Any, scope: Scope) -> SymbolContext:
        """The context of the item's symbol; raises RecordError where no symbol rule matches."""
        return self.contexts.context(self.stream.symbol.read(item, scope))

    def _dropped_unread(self, error: RecordError, item: Any, scope: Scope) -> bool:
        """Whether an item with an unknown symbol is one that `drop_when` drops anyway; then it is counted as filtered.
        """
        drop = self.stream.drop_when
        if error.reason != "unknown-symbol" or drop is None or not drop.condition(item, scope):
            return False
        self.ledger.account(self.stream.name, NOWHERE).filtered += 1
        return True

    def _add_dead_letter(
        self, error: RecordError, context: SymbolContext | None, frame: str | bytes, scope: Scope, out: list[Envelope],
        item: Any = None,
    ) -> None:
        account = context.account if context else self.ledger.account(self.stream.name, NOWHERE)
        account.received += 1
        self.ledger.dead_reasons[error.reason] += 1
        symbol = context.symbol if context else ""
        self.ledger.troubles.note(
            TroubleKind.DEAD_LETTER, self.stream.name, error.reason, scope.received_at,
            lambda: {"symbol": symbol or None, "id": self._venue_id(item, scope) if item is not None else None,
                     "field": error.field, "value": short(error.value), "detail": short(error.detail)},
        )
        letters = scope.letters = scope.letters or self._letters(frame, scope)
        letters.add(self._origin(context), symbol, error, account, item, out)

    def _refuse(self, frame: str | bytes, scope: Scope, count: int, why: str) -> None:
        """Items that are not looked at: one dead letter for all of them."""
        error = RecordError("each", self.stream.each_text, None, "frame-too-large", why)
        account = self.ledger.account(self.stream.name, NOWHERE)
        account.received += count
        self.ledger.dead_reasons[error.reason] += count
        self.ledger.troubles.note(
            TroubleKind.DEAD_LETTER, self.stream.name, error.reason, scope.received_at,
            lambda: {"detail": why, "items": count},
        )
        letters = scope.letters = scope.letters or self._letters(frame, scope)
        letters.count(self._origin(None), error, account, count)

    def _origin(self, context: SymbolContext | None) -> Origin:
        topic = context.topic if context else self.stream.kafka_topic
        return Origin(self.plan.name, self.plan.exchange, self.stream.name, topic)

    def _letters(self, frame: str | bytes, scope: Scope) -> FrameLetters:
        return FrameLetters(frame, scope.received_at, self.ledger.latest, scope.place(), scope.captured())


def _finder(symbol: Field) -> Getter:
    """What finds a symbol's name, where that is text or a whole number as it stands there; else its reader."""
    direct = symbol.direct
    plain = direct is not None and direct.conversion is not None and direct.conversion.kind == "text"
    return direct.get if direct is not None and plain else symbol.read


def _keyed(items: Iterable[tuple[str, Any]], scope: Scope) -> Iterator[Any]:
    for key, item in items:
        scope.key, scope.keys = key, (key,)
        yield item
