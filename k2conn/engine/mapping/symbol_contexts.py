"""Symbol contexts: whatever depends only on the symbol of a record, prepared once for each symbol of a stream.

A context holds the topic, the key, the seed of the ids, the beginning of vendor_data, the encoder with its constants,
and the native mapper where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from k2conn.engine.accounting.ledger import Account, Ledger
from k2conn.engine.gaps.sequence_state import SequenceState
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.engine.mapping.mapped_record import FastMapper
from k2conn.engine.mapping.native_mapper import EnvelopeTemplate, NativeMappers
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import Plan, Stream, Symbol
from k2conn.records import RecordType
from k2conn.scope import Scope

Encode = Callable[[list[Any]], bytes]
AT_ONCE = 1000
"""Symbols of a stream whose context is kept, with its native mapper, at once. That of any other is kept when it comes
again, and has its native mapper, which is most of what a symbol takes, from the next record on: a venue may invent
symbols, each for one record.
"""
FAST = 5000
"""Symbols of a stream that have a native mapper, which takes some 1.3 KB: more than most venues list at all.
Records of further ones are mapped by the general mapper.
"""


class SymbolContext:
    """The context of one symbol on one stream."""

    __slots__ = (
        "account",
        "currency",
        "encode",
        "fast",
        "ids",
        "key",
        "numbers",
        "prepared",
        "resolved",
        "symbol",
        "topic",
        "vendor",
    )

    def __init__(self, plan: Plan, stream: Stream, symbol: Symbol, account: Account, encode: Encode) -> None:
        self.resolved = symbol
        self.encode = encode
        self.symbol = symbol.record
        self.currency = symbol.price_currency
        self.key = symbol.record.encode()
        self.account = account
        self.topic = stream.kafka_topics.get(symbol.asset_class, stream.kafka_topic)
        self.ids = MessageIds(plan.exchange, stream.written, symbol.record)
        self.vendor = _vendor(stream, symbol)
        """The beginning of vendor_data: what all records of the symbol have in common."""
        self.fast: FastMapper | None = None
        """None also while it is not ``prepared``: see `SymbolContexts.prepare`."""
        self.prepared = False
        self.numbers: SequenceState | None = None
        """The state of the gap tracker, where the symbol's records are numbered one by one."""


def _vendor(stream: Stream, symbol: Symbol) -> dict[str, str]:
    """Raises RecordError where an entry that is read of the symbol cannot be."""
    found = {"native_symbol": symbol.native, "base_asset": symbol.base, "quote_asset": symbol.quote}
    found |= symbol.parts
    scope = Scope()
    scope.symbol = symbol
    for field in stream.vendor_data:
        text = field.read(None, scope) if field.of_symbol else None
        if text is not None:
            found[field.name] = text
    return found


class SymbolContexts:
    """The contexts of one stream: ``known`` by the venue's names; ``symbols`` are the symbols by our names."""

    def __init__(
        self, plan: Plan, stream: Stream, record: RecordType, ledger: Ledger, directory: SymbolDirectory,
        awaited: Callable[[str], bool],
    ) -> None:
        """``awaited``: whether more is known of a symbol, by our name, than its account says: what an earlier process
        saw of it, for one.
        """
        self._plan = plan
        self._awaited = awaited
        self._directory = directory
        self._stream = stream
        self._schema = record.schema
        self._classed = "asset_class" in record.profile.engine
        self._ledger = ledger
        self.known: dict[str, SymbolContext] = {}
        self.symbols: dict[str, Symbol] = {}
        self._fast = 0
        """Symbols with a native mapper."""
        self._once: set[str] = set()
        """Our names of symbols without an account of their own that came once."""
        self.always = _encoded_once(stream, record)
        """The fields with the same value in every record of the stream; they are encoded once."""
        self.native_mappers = NativeMappers(stream, record, plan.exchange + "-", self.always)

    @property
    def most(self) -> int:
        """Symbols that are kept; whatever is kept by symbol has no more entries than that."""
        return self._ledger.most

    @cached_property
    def _encode(self) -> Encode:
        """Compiled for the first symbol: many a stream of a file has none."""
        return self._schema.compile(self.always)

    def context(self, native: str) -> SymbolContext:
        """The context of a symbol; raises RecordError where no symbol rule matches its name."""
        return self.known.get(native) or self._open(native)

    def _open(self, native: str) -> SymbolContext:
        symbol = self._directory.resolve(native)
        if symbol is None:
            detail = f"no symbol rule reads '{native[:40]}' ({self._plan.symbols.description})"
            raise RecordError("symbol", self._stream.symbol.expression, native, "unknown-symbol", detail)
        always = self._always(symbol)
        encode = self._encode if always is self.always else self._schema.compile(always)
        account = self._ledger.account(self._stream.name, symbol.record)
        context = SymbolContext(self._plan, self._stream, symbol, account, encode)
        if len(self.known) < self.most:
            if len(self.known) < AT_ONCE:
                self.prepare(context)
            if context.prepared or self._comes_again(context):
                self.known[native] = context
                self.symbols[symbol.record] = symbol
        return context

    def _comes_again(self, context: SymbolContext) -> bool:
        """Whether a symbol has come before, in this process or in one before it."""
        symbol, account = context.symbol, context.account
        if account.symbol == symbol:
            return bool(account.received or account.filtered) or self._awaited(symbol)
        if symbol in self._once:
            self._once.discard(symbol)
            return True
        if len(self._once) < self.most:
            self._once.add(symbol)
        return self._awaited(symbol)

    def prepare(self, context: SymbolContext) -> FastMapper | None:
        """Makes a symbol's native mapper; None where its records need the general mapper, and beyond `FAST`."""
        symbol = context.resolved
        context.prepared = True
        if self._fast >= FAST:
            return None
        template = EnvelopeTemplate(context.topic, context.key, context.account)
        context.fast = self.native_mappers.mapper(symbol, context.vendor, self._always(symbol), context.ids, template)
        self._fast += context.fast is not None
        return context.fast

    def _always(self, symbol: Symbol) -> dict[str, object]:
        """The fields with the same value in every record of a symbol."""
        if symbol.asset_class and self._classed:
            return {**self.always, "asset_class": symbol.asset_class}
        return self.always


def _encoded_once(stream: Stream, record: RecordType) -> dict[str, object]:
    mapped = {field.name for field in stream.fields}
    carried = stream.carry.fields if stream.carry is not None else ()
    said = {field.name: field.read(None, Scope()) for field in stream.fields if field.constant}
    always: dict[str, object] = {**stream.constants}
    always |= {name: value for name, value in said.items() if name not in carried}
    if "platform_sequence" in record.profile.engine:
        always["platform_sequence"] = None
    return always | {name: value for name, value in record.profile.defaults.items() if name not in mapped}
