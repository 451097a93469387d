"""What a reader of committed records finds of a group's trades and gaps: the judge of exactly once.

It knows nothing of the group: a consumer that reads `read_committed` from the first record on, and the numbers that the
venue gave. From the state topic it takes who committed what when, and so how long nobody did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from k2conn import exactjson
from k2conn.avro import load_schema
from k2conn.avro.picking import FieldPicker
from k2conn.clock import monotonic
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.settings import KafkaSettings

HEAD = 5
"""Bytes before a record: the number of its schema."""
AT_ONCE = 2000
AGAIN = 0.2
LOOK_EVERY = 1.0
TRADES, GAPS = "trade", "gap"


class HandOver(NamedTuple):
    """A slot that went from one process to another: the milliseconds between the last state that the one committed and
    the first of the other, and when that was made (milliseconds since 1970). ``seen_ms``: the same between the moments
    at which they came to the reader.
    """

    slot: int
    hole_ms: int
    at_ms: int
    seen_ms: float = 0.0


class PickedTrade(NamedTuple):
    """What is looked at of a trade, by the names of its fields."""

    symbol: str
    source_sequence: int
    vendor_data: object


class SymbolBook:
    """What was found of one symbol."""

    def __init__(self) -> None:
        self._seen = bytearray()
        self._first, self._highest = 0, 0
        self.count = 0
        self.twice: list[int] = []
        self.out_of_order: list[int] = []
        self.fetched = 0
        self.last = 0
        """The largest number that came live."""

    def take(self, number: int, fetched: bool) -> None:
        """One record."""
        at, bit = number >> 3, 1 << (number & 7)
        if at >= len(self._seen):
            self._seen.extend(bytes(at + 4096 - len(self._seen)))
        if self._seen[at] & bit:
            self.twice.append(number)
        self._seen[at] |= bit
        self._first = min(self._first or number, number)
        self._highest = max(self._highest, number)
        self.count += 1
        if fetched:
            self.fetched += 1
        elif number <= self.last:
            self.out_of_order.append(number)
        else:
            self.last = number

    def has(self, number: int) -> bool:
        """Whether a number was found."""
        return number >> 3 < len(self._seen) and bool(self._seen[number >> 3] & 1 << (number & 7))

    @property
    def whole(self) -> bool:
        """Whether nothing is missing between the first number and the last."""
        return self.count - len(self.twice) == self._highest - self._first + 1

    def missing(self) -> list[int]:
        """The numbers between the first and the last that were not found."""
        if self.whole:
            return []
        return [number for number in range(self._first, self.last) if not self.has(number)]

    def among(self, ranges: Iterable[tuple[int, int]]) -> tuple[int, int]:
        """How many numbers some ranges have between the first and the last that were found, and how many of them were
        not found.
        """
        count, missing, at = 0, 0, self._first - 1
        for first, last in sorted(ranges):
            part = range(max(first, at + 1), min(last, self.last) + 1)
            count += len(part)
            missing += 0 if self.whole else sum(not self.has(number) for number in part)
            at = max(at, min(last, self.last))
        return count, missing


class CommittedBooks:
    """Reads on until it is told to end."""

    def __init__(self, settings: KafkaSettings, trades: str, gaps: str, state: str) -> None:
        self._settings = settings
        self._kinds = {settings.topic_prefix + trades: TRADES, settings.topic_prefix + gaps: GAPS}
        self._state = settings.topic_prefix + state
        self._trades = FieldPicker(PickedTrade, load_schema(TRADES), PickedTrade._fields, {})
        self._gaps = load_schema(GAPS)
        self.symbols: dict[str, SymbolBook] = {}
        self.named: dict[str, set[int]] = {}
        """By symbol, the numbers that records of gaps name as missing for good, or for now."""
        self.gap_ids: set[str] = set()
        self.gaps_twice = 0
        self.handovers: list[HandOver] = []
        self._borders: dict[int, tuple[str, int, float]] = {}
        self._consumer: Any = None
        self._admin: Any = None
        self._looked = 0.0
        self._known: set[Any] = set()

    async def read(self, stop: asyncio.Event) -> None:
        """Reads until told to stop, and then to the end of what was written by then."""
        self._consumer = AIOKafkaConsumer(
            **client_options(self._settings), isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", metadata_max_age_ms=2000,
        )
        self._admin = AIOKafkaAdminClient(**client_options(self._settings))
        await asyncio.gather(self._consumer.start(), self._admin.start())
        try:
            while not stop.is_set():
                await self._assign()
                await self._some()
            await self._assign()
            await self._to_the_end()
        finally:
            await asyncio.gather(self._consumer.stop(), self._admin.close())

    async def _assign(self) -> None:
        """New topics join in."""
        missing = {*self._kinds, self._state} - {one.topic for one in self._known}
        if not missing or monotonic() < self._looked + LOOK_EVERY:
            return
        self._looked = monotonic()
        there = missing & set(await self._admin.list_topics())  # asked for by name, the broker would make them
        said = await self._admin.describe_topics(sorted(there)) if there else []
        new = {TopicPartition(one["topic"], each["partition"]) for one in said for each in one["partitions"]}
        if new:
            found = self._known | new
            places = {one: await self._consumer.position(one) for one in self._known}
            self._consumer.assign(list(found))
            for one, offset in places.items():
                self._consumer.seek(one, offset)
            await self._consumer.seek_to_beginning(*new)
            self._known = found

    async def _some(self) -> None:
        if not self._known:
            await asyncio.sleep(AGAIN)
            return
        found = await self._consumer.getmany(timeout_ms=int(AGAIN * 1000), max_records=AT_ONCE)
        for at, messages in found.items():
            self._take(at, messages)

    async def _to_the_end(self) -> None:
        ends = await self._consumer.end_offsets(list(self._known))
        while any([await self._consumer.position(one) < end for one, end in ends.items()]):
            await self._some()

    def _take(self, at: Any, messages: Iterable[Any]) -> None:
        kind = self._kinds.get(at.topic)
        if kind == TRADES:
            for symbol, number, more in self._trades.pick([one.value[HEAD:] for one in messages]):
                self._book(symbol).take(int(number), "backfill" in str(more))
            return
        for one in messages:
            if kind is None:
                self._state_entry(at.partition, one)
            else:
                self._gap(self._gaps.decode_plain(one.value[HEAD:]))

    def _book(self, symbol: str) -> SymbolBook:
        found = self.symbols.get(symbol)
        if found is None:
            found = self.symbols[symbol] = SymbolBook()
        return found

    def _gap(self, record: dict[str, Any]) -> None:
        identity = str(record["message_id"])
        self.gaps_twice += identity in self.gap_ids
        self.gap_ids.add(identity)
        first, last = record["first_sequence"], record["last_sequence"]
        if record["status"] == "OPEN" and first is not None and last is not None:
            self.named.setdefault(str(record["symbol"]), set()).update(range(int(first), int(last) + 1))

    def _state_entry(self, slot: int, message: Any) -> None:
        if message.key is None or message.value is None or exactjson.decode(message.key)[0] != "border":
            return
        incarnation: str = exactjson.decode(message.value)["incarnation"]
        before, now = self._borders.get(slot), monotonic()
        if before is not None and before[0] != incarnation:
            seen = (now - before[2]) * 1000
            self.handovers.append(HandOver(slot, message.timestamp - before[1], message.timestamp, seen))
        self._borders[slot] = incarnation, message.timestamp, now
