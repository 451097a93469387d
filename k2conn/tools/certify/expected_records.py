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

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.plan import Plan, Stream
from k2conn.records import load_record
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.field_detection import SEQUENCE, FieldDetection
from k2conn.tools.mock.sent_frames import ClientSession, SentFrame

Place = tuple[str, str]
"""A stream's name and our symbol."""
_SHOWN = 20


@dataclass(slots=True)
class ExpectedStream:
    """What one stream of one symbol is owed. Keys tell records apart: see `ExpectedRecords.key_of`."""

    stream: str
    symbol: str
    confirmed: Counter[str] = field(default_factory=Counter)
    """Items that were read for certain."""
    in_doubt: Counter[str] = field(default_factory=Counter)
    """Items that may have died on the way."""
    never_sent: Counter[str] = field(default_factory=Counter)
    """Items that never left."""
    broken: int = 0
    """Items of frames that were sent broken and read for certain."""
    broken_in_doubt: int = 0
    filtered: int = 0
    """Items that are no records, by the file's own rules."""
    dead: int = 0
    """Items that cannot be records."""
    other_in_doubt: int = 0
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


class ExpectedRecords:
    """The second set of books."""

    def __init__(self, plan: Plan, streams: tuple[str, ...], exchange: MockExchange) -> None:
        self.plan = plan
        self.expected_streams: dict[Place, ExpectedStream] = {}
        self.stream_by_key: dict[str, ExpectedStream] = {}
        """Whose each key is."""
        self.dead_letters: Counter[bytes] = Counter()
        """Frames that must be in dead letters."""
        self.dead_letters_in_doubt: Counter[bytes] = Counter()
        self.mismatches: list[str] = []
        """Where the exchange's notes and the second mapping differ."""
        self._exchange = exchange
        self._connector_state = ConnectorState(plan, streams, 0)
        self._streams = {stream.name: stream for stream in self._connector_state.streams}
        profiles = [load_record(stream.record).profile for stream in self._connector_state.streams]
        self._ids = tuple(dict.fromkeys(one.id for one in profiles if one.id is not None))
        """The fields that are a venue's own id, of all its record types."""
        times = [one.time for one in profiles]
        self._changing = frozenset(("message_id", "ingestion_timestamp", "vendor_data", *times, *self._ids))
        """The fields that another delivery of the same item may have otherwise, where the venue gives no times."""
        self._readings: dict[str, FieldDetection] = {}
        self._session_context = SessionContext(lambda: "00000000-0000-4000-8000-000000000000", os.environ)
        assert exchange.sent_frames is not None
        for number, client_session in enumerate(exchange.sent_frames.client_sessions):
            self._add_session(number, client_session)
        self._add_never_sent()

    def expected(self, stream: str, symbol: str) -> ExpectedStream:
        """The line of one stream and symbol (ours)."""
        place = (stream, symbol)
        if place not in self.expected_streams:
            self.expected_streams[place] = ExpectedStream(
                stream, symbol, distinct=not has_unstable_ids(self._streams[stream])
            )
        return self.expected_streams[place]

    def key_of(self, record: dict[str, Any], distinct: bool) -> str:
        """What tells a record apart: its message_id, or, where that depends on the time of receipt, its contents."""
        if distinct:
            return str(record["message_id"])
        return "|".join(f"{name}={value}" for name, value in record.items() if name not in self._changing)

    def venue_id(self, record: dict[str, Any]) -> str:
        """The id by which people know a record."""
        return str(next((record[name] for name in self._ids if record.get(name)), record["message_id"]))

    # -- one connection

    def _add_session(self, number: int, client_session: ClientSession) -> None:
        pipeline = self._new_pipeline(client_session)
        pipeline.session.open(0.0, 1)
        for at, sent in enumerate(client_session.frames):
            confirmed = at < client_session.confirmed
            if sent.broken:
                self._broken(sent, confirmed)
            elif sent.frame is not None:
                self._frame(sent, client_session, pipeline, confirmed, (number, at))

    def _new_pipeline(self, client_session: ClientSession) -> FramePipeline:
        symbols = [found for name in self.plan.symbols.default if (found := self.plan.symbols.resolve(name))]
        pipeline = FramePipeline(self._connector_state, client_session.connection, symbols, self._session_context)
        for request, answer in zip(client_session.connection.before, self._exchange.before, strict=False):
            pipeline.session.captured(request.capture, answer)
        return pipeline

    def _frame(
        self,
        sent: SentFrame,
        client_session: ClientSession,
        pipeline: FramePipeline,
        confirmed: bool,
        place: tuple[int, int],
    ) -> None:
        assert sent.frame is not None
        accounts = self._totals()
        envelopes = self._received(sent.frame, pipeline)
        if not self._is_expected(sent):
            return
        expected = self._stream_for(sent)
        keys = self._keys(envelopes, expected)
        filtered, dead = (now - before for now, before in zip(self._totals(), accounts, strict=True))
        self._compare(sent, envelopes, filtered, expected)
        (expected.confirmed if confirmed else expected.in_doubt).update(keys)
        expected.places.update((key, place) for key in keys if key not in expected.places or not expected.distinct)
        expected.filtered += filtered if confirmed else 0
        expected.dead += dead if confirmed else 0
        expected.other_in_doubt += 0 if confirmed else filtered + dead
        for key, number in zip(keys, self._numbers(sent, client_session, pipeline), strict=False):
            expected.numbers[key] = number

    def _received(self, frame: str | bytes, pipeline: FramePipeline) -> list[Envelope]:
        envelopes, _ = pipeline.receive([frame], 0.0, 1)
        return envelopes

    def _totals(self) -> tuple[int, int]:
        """Items that were no records, items that could not be."""
        ledger = self._connector_state.ledger
        return sum(one.filtered for one in ledger.accounts()), sum(ledger.dead_reasons.values())

    def _keys(self, envelopes: list[Envelope], expected: ExpectedStream) -> list[str]:
        found = []
        for envelope in envelopes:
            if envelope.schema is not None:
                record = envelope.schema.decode_plain(envelope.value)
                key = self.key_of(record, expected.distinct)
                expected.names[key] = self.venue_id(record)
                self.stream_by_key[key] = expected
                found.append(key)
        return found

    def _compare(self, sent: SentFrame, envelopes: list[Envelope], filtered: int, expected: ExpectedStream) -> None:
        """The exchange's ids beside the mapping's."""
        ids = [self.venue_id(e.schema.decode_plain(e.value)) for e in envelopes if e.schema is not None]
        wrong = len(envelopes) + filtered != len(sent.ids)
        if not wrong and not filtered and self._streams[expected.stream].venue_id is not None:
            prefix = self.plan.exchange + "-"
            wrong = Counter(one.removeprefix(prefix) for one in ids) != Counter(sent.ids)
        if wrong and len(self.mismatches) < _SHOWN:
            made = ", ".join(ids) or "nothing"
            self.mismatches.append(
                f"{expected.stream} {expected.symbol}: a frame with ids {', '.join(sent.ids)} becomes {made}"
            )

    def _broken(self, sent: SentFrame, confirmed: bool) -> None:
        assert sent.frame is not None
        raw = sent.frame.encode() if isinstance(sent.frame, str) else sent.frame
        (self.dead_letters if confirmed else self.dead_letters_in_doubt)[raw] += 1
        if not self._is_expected(sent):
            return
        expected = self._stream_for(sent)
        expected.broken += len(sent.ids) if confirmed else 0
        expected.broken_in_doubt += 0 if confirmed else len(sent.ids)

    def _is_expected(self, sent: SentFrame) -> bool:
        """Whether a frame is data of a stream that the connector was to read; some venues send others unasked."""
        return sent.key is not None and sent.key[0] in self._streams

    def _stream_for(self, sent: SentFrame) -> ExpectedStream:
        assert sent.key is not None
        stream, native = sent.key
        symbol = self.plan.symbols.resolve(native)
        return self.expected(stream, symbol.record if symbol else native)

    # -- numbers

    def _numbers(self, sent: SentFrame, client_session: ClientSession, pipeline: FramePipeline) -> Iterator[int]:
        """The sequence numbers of a frame's items, where a hole in them is a gap."""
        assert sent.key is not None
        rule = self._streams[sent.key[0]].sequence
        if rule is None or rule.rule != "contiguous" or rule.per != "symbol" or sent.frame is None:
            return
        frame = pipeline.session.decode(sent.frame)
        if client_session.connection.name not in self._readings:
            self._readings[client_session.connection.name] = FieldDetection(self.plan, client_session.connection)
        for row in self._readings[client_session.connection.name].rows(frame, pipeline.session.scope.state):
            number = row.values[SEQUENCE][-1]
            if type(number) is int:
                yield number

    # -- what never left

    def _add_never_sent(self) -> None:
        """The keys and numbers of what was left out, or printed while nobody listened."""
        sent_frames = self._exchange.sent_frames
        assert sent_frames is not None
        for printed in (sent_frames.withheld, sent_frames.missed):
            for key, frames in printed.items():
                client_session = next(
                    (
                        client_session
                        for client_session in sent_frames.client_sessions
                        if key[0] in client_session.connection.streams
                    ),
                    None,
                )
                if client_session is None or key[0] not in self._streams:
                    continue
                pipeline = self._primed_pipeline(client_session)
                for one in frames:
                    frame = self._exchange.packed(key[0], one.text)
                    sent = SentFrame(key, one.ids, frame)
                    expected = self._stream_for(sent)
                    keys = self._keys(self._received(frame, pipeline), expected)
                    expected.never_sent.update(keys)
                    expected.numbers.update(zip(keys, self._numbers(sent, client_session, pipeline), strict=False))

    def _primed_pipeline(self, client_session: ClientSession) -> FramePipeline:
        """A connection that has heard what another heard that was no data."""
        pipeline = self._new_pipeline(client_session)
        pipeline.session.open(0.0, 1)
        for sent in client_session.frames:
            if sent.key is None and sent.frame is not None and not sent.broken:
                pipeline.receive([sent.frame], 0.0, 1)
        return pipeline


def has_unstable_ids(stream: Stream) -> bool:
    """Whether ids depend on the time of receipt: the venue gives neither ids nor times."""
    time = load_record(stream.record).profile.time
    times = [one for one in stream.fields if one.name == time]
    received = any(one.expression == "$received_at" or one.never_sent == "$received_at" for one in times)
    return stream.message_id == "random" or (stream.venue_id is None and received)
