"""What must come out: the frames that left, mapped once more by a second set of books, and set beside the exchange's
own notes of the ids in them.

The ids are the exchange's own words. The second mapping adds what they do not say: the message_id of each item, which
items are no records by the connector file's own rules, and the ids of streams whose venue gives none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from k2conn.engine.conversation.session import World
from k2conn.engine.frame_pipeline import Books, Intake
from k2conn.envelope import Envelope
from k2conn.plan import Plan, Stream
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.field_detection import SEQUENCE, Reading
from k2conn.tools.mock.sent_frames import Leg, Sent

Place = tuple[str, str]
"""A stream's name and our symbol."""
_SHOWN = 20


@dataclass(slots=True)
class Line:
    """What one stream of one symbol is owed. Keys tell records apart: see `key_of`."""

    stream: str
    symbol: str
    sure: Counter[str] = field(default_factory=Counter)
    """Items that were read for certain."""
    doubt: Counter[str] = field(default_factory=Counter)
    """Items that may have died on the way."""
    absent: Counter[str] = field(default_factory=Counter)
    """Items that never left."""
    broken: int = 0
    """Items of frames that were sent broken and read for certain."""
    broken_doubt: int = 0
    filtered: int = 0
    """Items that are no records, by the file's own rules."""
    dead: int = 0
    """Items that cannot be records."""
    other_doubt: int = 0
    """Items of both kinds that may have died on the way."""
    names: dict[str, str] = field(default_factory=dict)
    """What the venue calls each key."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Each key's number, where the stream's numbers are contiguous."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each key was sent: the number of the connection, and of the frame on it. The first time; the last where a
    key does not tell records apart.
    """
    distinct: bool = True
    """Whether a key can be published once only."""


class Reference:
    """The second set of books."""

    def __init__(self, plan: Plan, streams: tuple[str, ...], exchange: MockExchange) -> None:
        self.plan = plan
        self.lines: dict[Place, Line] = {}
        self.owners: dict[str, Line] = {}
        """Whose each key is."""
        self.letters: Counter[bytes] = Counter()
        """Frames that must be in dead letters."""
        self.letters_doubt: Counter[bytes] = Counter()
        self.odd: list[str] = []
        """Where the exchange's notes and the second mapping differ."""
        self._exchange = exchange
        self._books = Books(plan, streams, 0)
        self._streams = {stream.name: stream for stream in self._books.streams}
        self._readings: dict[str, Reading] = {}
        self._world = World(lambda: "00000000-0000-4000-8000-000000000000", os.environ)
        assert exchange.witness is not None
        for number, leg in enumerate(exchange.witness.legs):
            self._leg(number, leg)
        self._never_left()

    def line(self, stream: str, symbol: str) -> Line:
        """The line of one stream and symbol (ours)."""
        place = (stream, symbol)
        if place not in self.lines:
            self.lines[place] = Line(stream, symbol, distinct=not rough(self._streams[stream]))
        return self.lines[place]

    # -- one connection

    def _leg(self, number: int, leg: Leg) -> None:
        intake = self._intake(leg)
        intake.session.open(0.0, 1)
        for at, sent in enumerate(leg.frames):
            sure = at < leg.confirmed
            if sent.broken:
                self._broken(sent, sure)
            elif sent.frame is not None:
                self._frame(sent, leg, intake, sure, (number, at))

    def _intake(self, leg: Leg) -> Intake:
        symbols = [found for name in self.plan.symbols.default if (found := self.plan.symbols.resolve(name))]
        intake = Intake(self._books, leg.connection, symbols, self._world)
        for request, answer in zip(leg.connection.before, self._exchange.before, strict=False):
            intake.session.captured(request.capture, answer)
        return intake

    def _frame(self, sent: Sent, leg: Leg, intake: Intake, sure: bool, place: tuple[int, int]) -> None:
        assert sent.frame is not None
        accounts = self._totals()
        envelopes = self._received(sent.frame, intake)
        if not self._ours(sent):
            return
        line = self._line_of(sent)
        keys = self._keys(envelopes, line)
        filtered, dead = (now - before for now, before in zip(self._totals(), accounts, strict=True))
        self._compare(sent, envelopes, filtered, line)
        (line.sure if sure else line.doubt).update(keys)
        line.places.update((key, place) for key in keys if key not in line.places or not line.distinct)
        line.filtered += filtered if sure else 0
        line.dead += dead if sure else 0
        line.other_doubt += 0 if sure else filtered + dead
        for key, number in zip(keys, self._numbers(sent, leg, intake), strict=False):
            line.numbers[key] = number

    def _received(self, frame: str | bytes, intake: Intake) -> list[Envelope]:
        envelopes, _ = intake.receive(frame, 0.0, 1)
        return envelopes

    def _totals(self) -> tuple[int, int]:
        """Items that were no records, items that could not be."""
        ledger = self._books.ledger
        return sum(one.filtered for one in ledger.accounts()), sum(ledger.dead_reasons.values())

    def _keys(self, envelopes: list[Envelope], line: Line) -> list[str]:
        found = []
        for envelope in envelopes:
            if envelope.schema is not None:
                record = envelope.schema.decode_plain(envelope.value)
                key = key_of(record, line.distinct)
                line.names[key] = venue_id(record)
                self.owners[key] = line
                found.append(key)
        return found

    def _compare(self, sent: Sent, envelopes: list[Envelope], filtered: int, line: Line) -> None:
        """The exchange's ids beside the mapping's."""
        records = [e.schema.decode_plain(e.value) for e in envelopes if e.schema is not None]
        wrong = len(envelopes) + filtered != len(sent.ids)
        if not wrong and not filtered and self._streams[line.stream].identity is not None:
            prefix = self.plan.exchange + "-"
            wrong = Counter(venue_id(one).removeprefix(prefix) for one in records) != Counter(sent.ids)
        if wrong and len(self.odd) < _SHOWN:
            made = ", ".join(venue_id(one) for one in records) or "nothing"
            self.odd.append(f"{line.stream} {line.symbol}: a frame with ids {', '.join(sent.ids)} becomes {made}")

    def _broken(self, sent: Sent, sure: bool) -> None:
        assert sent.frame is not None
        raw = sent.frame.encode() if isinstance(sent.frame, str) else sent.frame
        (self.letters if sure else self.letters_doubt)[raw] += 1
        if not self._ours(sent):
            return
        line = self._line_of(sent)
        line.broken += len(sent.ids) if sure else 0
        line.broken_doubt += 0 if sure else len(sent.ids)

    def _ours(self, sent: Sent) -> bool:
        """Whether a frame is data of a stream that the connector was to read; some venues send others unasked."""
        return sent.key is not None and sent.key[0] in self._streams

    def _line_of(self, sent: Sent) -> Line:
        assert sent.key is not None
        stream, native = sent.key
        symbol = self.plan.symbols.resolve(native)
        return self.line(stream, symbol.record if symbol else native)

    # -- numbers

    def _numbers(self, sent: Sent, leg: Leg, intake: Intake) -> Iterator[int]:
        """The sequence numbers of a frame's items, where a hole in them is a gap."""
        assert sent.key is not None
        rule = self._streams[sent.key[0]].sequence
        if rule is None or rule.rule != "contiguous" or rule.per != "symbol" or sent.frame is None:
            return
        frame = intake.session.arrived(sent.frame, 0.0, 1)
        if leg.connection.name not in self._readings:
            self._readings[leg.connection.name] = Reading(self.plan, leg.connection)
        for row in self._readings[leg.connection.name].rows(frame, intake.session.scope.state):
            number = row.values[SEQUENCE][-1]
            if type(number) is int:
                yield number

    # -- what never left

    def _never_left(self) -> None:
        """The keys and numbers of what was left out, or printed while nobody listened."""
        witness = self._exchange.witness
        assert witness is not None
        for printed in (witness.withheld, witness.missed):
            for key, frames in printed.items():
                leg = next((leg for leg in witness.legs if key[0] in leg.connection.streams), None)
                if leg is None or key[0] not in self._streams:
                    continue
                intake = self._learnt(leg)
                for one in frames:
                    frame = self._exchange.packed(key[0], one.text)
                    sent = Sent(key, one.ids, frame)
                    line = self._line_of(sent)
                    keys = self._keys(self._received(frame, intake), line)
                    line.absent.update(keys)
                    line.numbers.update(zip(keys, self._numbers(sent, leg, intake), strict=False))

    def _learnt(self, leg: Leg) -> Intake:
        """A connection that has heard what another heard that was no data."""
        intake = self._intake(leg)
        intake.session.open(0.0, 1)
        for sent in leg.frames:
            if sent.key is None and sent.frame is not None and not sent.broken:
                intake.receive(sent.frame, 0.0, 1)
        return intake


def rough(stream: Stream) -> bool:
    """Whether ids depend on the time of receipt: the venue gives neither ids nor times."""
    times = [one for one in stream.fields if one.name == "timestamp"]
    received = any(one.expression == "$received_at" or one.default == "$received_at" for one in times)
    return stream.random_id or (stream.identity is None and received)


def key_of(record: dict[str, Any], distinct: bool) -> str:
    """What tells a record apart: its message_id, or, where that depends on the time of receipt, its contents."""
    if distinct:
        return str(record["message_id"])
    skipped = ("message_id", "timestamp", "ingestion_timestamp", "vendor_data", "trade_id", "quote_id")
    return "|".join(f"{name}={value}" for name, value in record.items() if name not in skipped)


def venue_id(record: dict[str, Any]) -> str:
    """The id by which people know a record."""
    return str(record.get("trade_id") or record.get("quote_id") or record["message_id"])
