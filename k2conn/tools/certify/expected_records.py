"""The records that must arrive: the sent frames, mapped a second time and compared with the exchange's own notes of the
ids in them.

The ids come from the exchange. The second mapping adds what they do not say: the message_id of each item, which items
are not records by the rules of the connector file, and the ids of streams whose venue has none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.clock import wall_us
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
    """What must arrive for one stream of one symbol. Keys identify records: see `ExpectedRecords.key_of`."""

    stream: str
    symbol: str
    confirmed: Counter[str] = field(default_factory=Counter)
    """Items that were certainly read."""
    in_doubt: Counter[str] = field(default_factory=Counter)
    """Items that may have been lost with the connection."""
    never_sent: Counter[str] = field(default_factory=Counter)
    """Items that were never sent."""
    broken: int = 0
    """Items of frames that were sent broken and certainly read."""
    broken_in_doubt: int = 0
    filtered: int = 0
    """Items that are not records, by the rules of the connector file."""
    dead: int = 0
    """Items that become dead letters."""
    other_in_doubt: int = 0
    """Items of both kinds that may have been lost with the connection."""
    names: dict[str, str] = field(default_factory=dict)
    """The venue's id of each key."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The sequence number of each key, where the stream's numbers are contiguous."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each key was sent: the number of the connection, and of the frame on it. The first occurrence; the last
    where a key does not identify a record.
    """
    distinct: bool = True
    """Whether a key identifies a record, which may then be published only once."""
    merged: bool = False
    """Whether equal items are one record that comes again: once is enough then."""


class ExpectedRecords:
    """The expected records of all streams and symbols."""

    def __init__(self, plan: Plan, streams: tuple[str, ...], exchange: MockExchange) -> None:
        self.plan = plan
        self.expected_streams: dict[Place, ExpectedStream] = {}
        self.stream_by_key: dict[str, ExpectedStream] = {}
        """The stream and symbol of each key."""
        self.dead_letters: Counter[bytes] = Counter()
        """Frames that must become dead letters."""
        self.dead_letters_in_doubt: Counter[bytes] = Counter()
        self.mismatches: list[str] = []
        """Differences between the exchange's notes and the second mapping, as text."""
        self._exchange = exchange
        self._connector_state = ConnectorState(plan, streams, 0)
        self._streams = {stream.name: stream for stream in self._connector_state.streams}
        profiles = [load_record(stream.record, stream.revision).profile for stream in self._connector_state.streams]
        self._ids = tuple(dict.fromkeys(one.id for one in profiles if one.id is not None))
        """The fields that hold a venue's own id, of all record types."""
        times = [one.time for one in profiles]
        self._changing = frozenset(("message_id", "ingestion_timestamp", "vendor_data", *times, *self._ids))
        """The fields that may differ between two deliveries of the same item, where the venue gives no times."""
        self._readings: dict[str, FieldDetection] = {}
        self._wall = wall_us()
        """When all is mapped a second time: a time of day that comes without its date is one of these hours."""
        self._session_context = SessionContext(lambda: "00000000-0000-4000-8000-000000000000", os.environ)
        assert exchange.sent_frames is not None
        for number, client_session in enumerate(exchange.sent_frames.client_sessions):
            self._add_session(number, client_session)
        self._add_never_sent()

    def expected(self, stream: str, symbol: str) -> ExpectedStream:
        """The entry of one stream and symbol (our name)."""
        place = (stream, symbol)
        if place not in self.expected_streams:
            distinct = not has_unstable_ids(self._streams[stream])
            self.expected_streams[place] = ExpectedStream(
                stream, symbol, distinct=distinct, merged=self._streams[stream].distinct
            )
        return self.expected_streams[place]

    def key_of(self, record: dict[str, Any], distinct: bool) -> str:
        """The identity of a record: its message_id, or its contents where the message_id depends on the time of
        receipt.
        """
        if distinct:
            return str(record["message_id"])
        return "|".join(f"{name}={value}" for name, value in record.items() if name not in self._changing)

    def venue_id(self, record: dict[str, Any]) -> str:
        """The venue's id of a record, for messages."""
        return str(next((record[name] for name in self._ids if record.get(name)), record["message_id"]))

    # -- one connection

    def _add_session(self, number: int, client_session: ClientSession) -> None:
        pipeline = self._new_pipeline(client_session)
        pipeline.session.open(0.0, self._wall)
        for at, sent in enumerate(client_session.frames):
            confirmed = at < client_session.confirmed
            if sent.broken:
                self._broken(sent, confirmed)
            elif sent.frame is not None:
                self._frame(sent, client_session, pipeline, confirmed, (number, at))

    def _new_pipeline(self, client_session: ClientSession) -> FramePipeline:
        symbols = [found for name in self.plan.symbols.default if (found := self.plan.symbols.resolve(name))]
        if client_session.connection.per == "symbol":
            symbols = [one for one in symbols if one.native in _natives(client_session)][:1] or symbols[:1]
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
        streams = self._streams_of(sent)
        before = [self._filtered(name) for name in streams]
        dead_before = self._dead()
        received = self._received(sent.frame, pipeline)
        for name, filtered_before in zip(streams, before, strict=True):
            alone = len(streams) == 1
            own = received if alone else _of_stream(received, name)
            expected = self._stream_for(sent, name)
            filtered = self._filtered(name) - filtered_before
            dead = self._dead() - dead_before if alone else sum(one.dead for one in own)
            keys = self._keys(own, expected)
            self._compare(sent, own, filtered, expected)
            (expected.confirmed if confirmed else expected.in_doubt).update(keys)
            expected.places.update((key, place) for key in keys if key not in expected.places or not expected.distinct)
            expected.filtered += filtered if confirmed else 0
            expected.dead += dead if confirmed else 0
            expected.other_in_doubt += 0 if confirmed else filtered + dead
            for key, number in zip(keys, self._numbers(sent, name, client_session, pipeline), strict=False):
                expected.numbers[key] = number

    def _received(self, frame: str | bytes, pipeline: FramePipeline) -> list[Envelope]:
        envelopes, _ = pipeline.receive([frame], 0.0, self._wall)
        return envelopes

    def _filtered(self, stream: str) -> int:
        """Items of a stream that were filtered so far."""
        return sum(one.filtered for one in self._connector_state.ledger.accounts() if one.stream == stream)

    def _dead(self) -> int:
        """Dead letters so far."""
        return sum(self._connector_state.ledger.dead_reasons.values())

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
        """Compares the exchange's ids with those of the mapping."""
        ids = [self.venue_id(e.schema.decode_plain(e.value)) for e in envelopes if e.schema is not None]
        sent_ids = sent.ids_by_stream()[expected.stream]
        states = self._streams[expected.stream].states
        counted = states is None or states.closed is not None  # else one frame brings what another one held
        wrong = counted and len(envelopes) + filtered != len(sent_ids)
        if not wrong and not filtered and self._streams[expected.stream].venue_id is not None:
            prefix = self.plan.exchange + "-"
            wrong = Counter(one.removeprefix(prefix) for one in ids) != Counter(sent_ids)
        if wrong and len(self.mismatches) < _SHOWN:
            made = ", ".join(ids) or "nothing"
            place = f"{expected.stream} {expected.symbol}"
            self.mismatches.append(f"{place}: a frame with ids {', '.join(sent_ids)} becomes {made}")

    def _broken(self, sent: SentFrame, confirmed: bool) -> None:
        assert sent.frame is not None
        raw = sent.frame.encode() if isinstance(sent.frame, str) else sent.frame
        (self.dead_letters if confirmed else self.dead_letters_in_doubt)[raw] += 1
        for name in self._streams_of(sent):
            expected = self._stream_for(sent, name)
            count = len(sent.ids_by_stream()[name])
            expected.broken += count if confirmed else 0
            expected.broken_in_doubt += 0 if confirmed else count

    def _streams_of(self, sent: SentFrame) -> list[str]:
        """The streams that a frame is data of, of those that the connector runs; some venues also send others."""
        return [name for name in sent.ids_by_stream() if name in self._streams]

    def _stream_for(self, sent: SentFrame, stream: str) -> ExpectedStream:
        assert sent.key is not None
        symbol = self.plan.symbols.resolve(sent.key[1])
        return self.expected(stream, symbol.record if symbol else sent.key[1])

    # -- numbers

    def _numbers(
        self, sent: SentFrame, stream: str, client_session: ClientSession, pipeline: FramePipeline
    ) -> Iterator[int]:
        """The sequence numbers of a frame's items of a stream, where a missing number is a gap."""
        rule = self._streams[stream].sequence
        if rule is None or rule.rule != "contiguous" or rule.per != "symbol" or sent.frame is None:
            return
        frame = pipeline.session.decode(sent.frame)
        if client_session.connection.name not in self._readings:
            self._readings[client_session.connection.name] = FieldDetection(self.plan, client_session.connection)
        for row in self._readings[client_session.connection.name].rows(frame, pipeline.session.scope.state):
            number = row.values[SEQUENCE][-1] if row.stream.name == stream else None
            if type(number) is int:
                yield number

    # -- what was never sent

    def _add_never_sent(self) -> None:
        """Adds what was left out on purpose, or generated while no client was connected."""
        sent_frames = self._exchange.sent_frames
        assert sent_frames is not None
        for printed in (sent_frames.withheld, sent_frames.missed):
            for key, frames in printed.items():
                client_session = next(
                    (
                        client_session
                        for client_session in sent_frames.client_sessions
                        if key[0] in client_session.connection.streams and _may_carry(client_session, key)
                    ),
                    None,
                )
                if client_session is None:
                    continue
                pipeline = self._primed_pipeline(client_session)
                for one in frames:
                    self._not_sent(SentFrame(key, one.ids, self._exchange.packed(key[0], one.text), shared=one.shared),
                                   client_session, pipeline)

    def _not_sent(self, sent: SentFrame, client_session: ClientSession, pipeline: FramePipeline) -> None:
        assert sent.frame is not None
        received, streams = self._received(sent.frame, pipeline), self._streams_of(sent)
        for name in streams:
            expected = self._stream_for(sent, name)
            keys = self._keys(received if len(streams) == 1 else _of_stream(received, name), expected)
            expected.never_sent.update(keys)
            expected.numbers.update(zip(keys, self._numbers(sent, name, client_session, pipeline), strict=False))

    def _primed_pipeline(self, client_session: ClientSession) -> FramePipeline:
        """A pipeline that has received all messages of a connection that are not data, for what they capture."""
        pipeline = self._new_pipeline(client_session)
        pipeline.session.open(0.0, self._wall)
        for sent in client_session.frames:
            if sent.key is None and sent.frame is not None and not sent.broken:
                pipeline.receive([sent.frame], 0.0, self._wall)
        return pipeline


def _of_stream(envelopes: Sequence[Envelope], stream: str) -> list[Envelope]:
    """Those of one stream, where a frame is several streams'."""
    return [one for one in envelopes if one.account is not None and one.account.stream == stream]


def _natives(client_session: ClientSession) -> set[str]:
    """The native symbols of the data of a connection."""
    return {sent.key[1] for sent in client_session.frames if sent.key is not None}


def _may_carry(client_session: ClientSession, key: tuple[str, str]) -> bool:
    """Whether a connection is one that may carry a stream's symbol."""
    return client_session.connection.per != "symbol" or key[1] in _natives(client_session)


def has_unstable_ids(stream: Stream) -> bool:
    """Whether message ids depend on the time of receipt, because the venue gives neither ids nor times."""
    time = load_record(stream.record, stream.revision).profile.time
    times = [one for one in stream.fields if one.name == time]
    received = any(one.expression == "$received_at" or one.absent == "$received_at" for one in times)
    return stream.message_id == "random" or (stream.venue_id is None and received)
