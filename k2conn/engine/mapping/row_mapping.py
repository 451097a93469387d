"""Rows of files to envelopes, many at a time, where all rows of a file are one stream's and one symbol's.

It does what `StreamMapping.take` does for each of them, and leaves every row to it that its symbol's native mapper does
not take. A record whose id has its file and the number of its row in it is like no other: it is not looked for among
those that came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.mapping.symbol_contexts import SymbolContext
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Stream
from k2conn.scope import Scope

Row = tuple[int, str | bytes, Any]
Other = Callable[[Any, str | bytes], None]


def suits(stream: Stream) -> bool:
    """Whether a stream's rows can be mapped in this way."""
    plain = (
        stream.each is None and stream.drop_when is None and stream.snapshot is None and stream.carry is None
        and stream.first_batch == "keep" and stream.sequence is None and not stream.each_key
        and stream.span is None and stream.states is None
    )
    names = {part[4] for part in stream.venue_id.joined.parts} if stream.venue_id and stream.venue_id.joined else set()
    return plain and stream.symbol.of_file and names >= {"file", "row"}


class RowMapping:
    """Maps the rows of one file after the other."""

    def __init__(self, mapping: StreamMapping) -> None:
        self._mapping = mapping
        self._context: SymbolContext | None = None

    def begin(self, scope: Scope) -> None:
        """Another file; ``scope`` knows its name."""
        try:
            self._context = self._mapping.contexts.context(self._mapping.stream.symbol.read({}, scope))
        except RecordError:
            self._context = None  # each row says so

    def take(self, rows: Iterable[Row], scope: Scope, out: list[Envelope], other: Other) -> None:
        """Maps the rows behind `scope.row`; ``other`` takes those that are not plain, with ``scope`` at their place."""
        context = self._context
        fast = context.fast if context is not None else None
        number, taken, event, price = scope.row or 0, 0, 0, None
        if fast is None or context is None:
            for scope.line, raw, item in rows:
                number += 1
                scope.row = number
                other(item, raw)
            return
        scope.symbol = context.resolved
        append = out.append
        for line, raw, item in rows:
            number += 1
            scope.row = number
            try:
                made = fast(item, scope)
            except Exception:  # a bug: it is met again where it costs this row only, and is counted
                made = None
            if made is None:
                scope.line = line
                other(item, raw)
                scope.symbol = context.resolved
                continue
            _, event, price, envelope, _ = made
            if scope.rounded is not None or scope.unknown_sides:
                self._mapping.count_oddities(context, scope)
            taken += 1
            append(envelope)
        if taken:
            account = context.account
            account.received += taken
            account.last_event_us, account.last_price, account.last_received_us = event, price, scope.received_at
