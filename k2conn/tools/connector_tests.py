"""Runs the tests of a connector file on the engine, with a clock of their own: no socket, no sleep.

The turns of a dialogue go through the same session and mapping as live frames. Sent frames are compared as JSON (or as
text, where the test gives text), records by the fields that the test names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from k2conn import exactjson
from k2conn.codecs import RowPosition
from k2conn.codecs.decoding import row_reader
from k2conn.codecs.encoding import encoder
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.request_encoding import request_decoder
from k2conn.engine.conversation.request_frames import frame_text, shown
from k2conn.engine.conversation.session import Action, CallAgain, Close, Send, SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.instrument_list import instrument_rows
from k2conn.engine.row_pipeline import RowPipeline
from k2conn.engine.sharding.shards import shards
from k2conn.envelope import Envelope
from k2conn.errors import K2Error
from k2conn.plan import Connection, ConnectorTest, DialogueTurn, Json, Plan, Symbol
from k2conn.records import TIMES, load_record
from k2conn.tools.letter_places import letter_place

ANY = "$any"
"""Stands for any value in a frame that a test expects to be sent."""
_UUID = "00000000-0000-4000-8000-000000000000"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = ("tick", "lot", "strike", "multiplier")
"""What a list says of instruments that is a number."""
_WIDE = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference from what the test expects; ``line`` is that of the expectation in the connector file."""

    example: str
    line: int
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


def run_test(plan: Plan, example: ConnectorTest) -> list[Difference]:
    """Runs one test, with its own environment; an empty list where it passes."""
    connection = _TestConnection(plan, example)
    try:
        for turn in example.dialogue:
            connection.run_turn(turn)
        connection.finish()
    except K2Error as error:
        connection.add_difference(example.line, "error", "none", str(error))
    return connection.differences


class _TestConnection:
    """The connections of one test, on a fake clock."""

    def __init__(self, plan: Plan, example: ConnectorTest) -> None:
        self.example = example
        self.differences: list[Difference] = []
        self.now = 1000.0
        self.wall = example.received_at
        self.sent: list[tuple[str, str | bytes]] = []
        """Sent frames that no turn has mentioned yet, each with the name of its connection."""
        self.closed: Close | None = None
        self.checks_sent = any(turn.kind == "sent" for turn in example.dialogue)
        self.connector_state = ConnectorState(plan, self._streams(plan, example), window=0)
        symbols = [found for name in example.symbols if (found := plan.symbols.resolve(name))]
        self.session_context = SessionContext(lambda: _UUID, example.environment)
        self.pipelines = self._pipelines(plan, symbols)
        self.rows = RowPipeline(self.connector_state, plan.connections[0]) if plan.reads_files else None
        if self.rows is not None:
            self.rows.begin(example.file or plan.name, 0)
        self.pipeline = self.pipelines[0]
        self.envelopes: list[Envelope] = []
        """All that came of the test's frames."""
        self.became = ""
        """What the latest frame was, where it gave nothing."""
        self.opened = False
        self.answered = 0
        self.calling: dict[FramePipeline, int] = {}
        """Where the calls of `before` are made again, and how many of them have been answered."""

    def _streams(self, plan: Plan, example: ConnectorTest) -> list[str]:
        if example.streams is not None:
            return list(example.streams)
        if any(turn.kind == "sent" for turn in example.dialogue):
            return [stream.name for stream in plan.streams if stream.default]
        return [stream.name for stream in plan.streams]

    def _pipelines(self, plan: Plan, symbols: Sequence[Symbol]) -> list[FramePipeline]:
        found = [FramePipeline(self.connector_state, one.connection, one.symbols, self.session_context)
                 for one in shards(plan, self.connector_state.streams, symbols)]
        return found or [FramePipeline(self.connector_state, plan.connections[0], symbols, self.session_context)]

    def _open(self) -> None:
        """Opens the sessions. A connection with HTTP calls in `before` stays closed where the test shows no answers to
        them: such a test only maps frames.
        """
        if not self.opened:
            self.opened = True
            for pipeline in self.pipelines:
                if pipeline.session.connection.before and not self.answered:
                    continue
                self._handle(pipeline, pipeline.session.open(self.now, self.wall))

    def run_turn(self, turn: DialogueTurn) -> None:
        """Runs one turn of the dialogue."""
        if turn.kind == "answered":
            self._answered(turn)
        elif turn.kind == "url":
            found = next(iter(self._pipelines_of(turn)), self.pipeline).session.url(0, self.wall)
            if found != turn.value:
                self.add_difference(turn.line, "url", turn.value, found)
        elif turn.kind == "after":
            self._open()
            self._advance_time(turn.value)
        elif turn.kind == "sent":
            self._open()
            self._expect_sent(turn)
        elif turn.kind == "received":
            self._open()
            self._receive(turn)
        elif turn.kind == "closed":
            cause = self.closed.cause if self.closed else "not closed"
            if cause != turn.value:
                self.add_difference(turn.line, "closed", turn.value, cause)

    def finish(self) -> None:
        """Checks that the dialogue mentions every frame that was sent, and what the audit says of all records."""
        if self.checks_sent and self.sent:
            self.add_difference(self.example.line, "sent", "nothing more", shown(self.sent[0][1]))
        if self.example.verdicts is not None:
            self._compare_verdicts(self.example.verdicts)
        if self.example.instruments is not None:
            self._compare_instruments(self.example.instruments)

    # -- turns

    def _answered(self, turn: DialogueTurn) -> None:
        """The venue answers the next HTTP call of `before`, or of those that are made again."""
        for pipeline in self.pipelines:
            before = pipeline.session.connection.before
            if pipeline in self.calling:
                request = before[self.calling[pipeline]]
                pipeline.session.captured(request.capture, turn.value)
                self.calling[pipeline] += 1
                if self.calling[pipeline] == len(before):
                    del self.calling[pipeline]
                    self._handle(pipeline, pipeline.session.called(self.now, self.wall))
                continue
            for request in before[self.answered : self.answered + 1]:
                pipeline.session.captured(request.capture, turn.value)
        self.answered += 1

    def _advance_time(self, seconds: float) -> None:
        """Advances the clock, from deadline to deadline."""
        end = self.now + seconds
        while True:
            deadlines = [d for pipeline in self.pipelines if (d := pipeline.session.deadline) is not None and d <= end]
            if not deadlines:
                break
            self._set_time(max(min(deadlines), self.now))
            for pipeline in self.pipelines:
                self._handle(pipeline, pipeline.session.timer(self.now, self.wall))
        self._set_time(end)

    def _set_time(self, now: float) -> None:
        self.wall += round((now - self.now) * 1_000_000)
        self.now = now

    def _expect_sent(self, turn: DialogueTurn) -> None:
        for at, (socket, text) in enumerate(self.sent):
            if turn.socket in (None, socket) and same(turn.value, _value(text, turn.value)):
                del self.sent[at]
                return
        found = shown(self.sent.pop(0)[1]) if self.sent else self._nothing()
        self.add_difference(turn.line, "sent", frame_text(turn.value), found)

    def _nothing(self) -> str:
        """Why nothing was sent, where the connection's end is the reason."""
        end = self.closed
        return "nothing" if end is None else f"nothing: the connection was closed ({end.cause}: {end.detail})"

    def _pipelines_of(self, turn: DialogueTurn) -> list[FramePipeline]:
        """The pipelines of the connections that a turn may be on."""
        return [one for one in self.pipelines if turn.socket in (None, one.session.connection.name)]

    def _receive(self, turn: DialogueTurn) -> None:
        counted = self._counts()
        envelopes = self._mapped(turn) if self.rows is None else self._mapped_rows(turn, self.rows)
        self.became = _became(counted, self._counts())
        self.envelopes += envelopes
        kinds = [{field.name: field.kind for field in e.schema.fields} for e in envelopes if e.schema is not None]
        records = [e.schema.decode_plain(e.value) for e in envelopes if e.schema is not None]
        dead = [exactjson.decode(e.value) for e in envelopes if e.schema is None]
        names = [e.schema.name for e in envelopes if e.schema is not None]
        wanted = list(turn.records or ())
        wanted[: len(names)] = map(in_larger_decimals, wanted, names, records)
        if turn.records is not None or self.example.verdicts is None:
            self._compare(turn, "record", wanted, records, kinds)
        self._compare(turn, "dead letter", list(turn.dead_letters or ()), dead, [{}] * len(dead))

    def _counts(self) -> tuple[int, int, int]:
        """How much was known by no rule, was a matter of the connection, and made no record though it could have."""
        ledger = self.connector_state.ledger
        return ledger.unrecognised, ledger.control, ledger.totals()["filtered"]

    def _mapped(self, turn: DialogueTurn) -> list[Envelope]:
        """What comes of a frame."""
        envelopes: list[Envelope] = []
        ledger = self.connector_state.ledger
        for pipeline in self._pipelines_of(turn):
            before = ledger.unrecognised
            frame = _frame(turn.value, pipeline.session.connection)
            envelopes, actions = pipeline.receive([frame], self.now, self.wall)
            self._handle(pipeline, actions)
            if ledger.unrecognised == before:
                break
        return envelopes

    def _mapped_rows(self, turn: DialogueTurn, pipeline: RowPipeline) -> list[Envelope]:
        """What comes of rows of the test's file."""
        connection = self.connector_state.plan.connections[0]
        frame = _frame(turn.value, connection)
        data = frame.encode() if isinstance(frame, str) else frame
        return pipeline.receive(row_reader(connection.codec, RowPosition()).feed(data, True), self.wall)

    def _compare(
        self, turn: DialogueTurn, what: str, expected: list[Mapping[str, Any]], found: list[dict[str, Any]],
        kinds: list[dict[str, str]],
    ) -> None:
        """Adds the differences; ``kinds`` are the kinds of each record's fields, by name."""
        if len(expected) != len(found) and (turn.records is not None or turn.dead_letters is not None or found):
            shown = "; ".join(self._shown(one) for one in found[:3]) or f"none{self.became}"
            self.add_difference(turn.line, f"{what}s", str(len(expected)), f"{len(found)}: {shown}")
        for at, (wanted, got, kind) in enumerate(zip(expected, found, kinds, strict=False)):
            for name, value in _flat(wanted):
                own = _member(got, name)
                if not same_field(kind.get(name, ""), value, own):
                    place = f"{what} {at + 1}, {name}"
                    shown = "nothing" if own is None else exactjson.spell(own)
                    self.add_difference(turn.line, place, exactjson.spell(value), shown)

    def _shown(self, one: dict[str, Any]) -> str:
        """A record or dead letter; of the latter first what is the matter with the mapping."""
        where = letter_place(self.connector_state.plan, one)
        return f"{one['reason']}: {where}" if where else exactjson.encode(one).decode()[:300]

    def _compare_verdicts(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        from k2conn.tools.example_verdicts import verdicts_of  # few files have any, and all of the audit hangs on it

        found = verdicts_of(self.connector_state.streams, self.envelopes)
        if len(found) != len(wanted):
            shown = f"{len(found)}: {exactjson.spell(found)[:300]}"
            self.add_difference(self.example.line, "verdicts", str(len(wanted)), shown)
        for at, (expected, got) in enumerate(zip(wanted, found, strict=False)):
            for name, value in expected.items():
                if not same_field("timestamp-micros" if name == "open_time" else "", value, got.get(name)):
                    wrong = exactjson.spell(value), exactjson.spell(got.get(name))
                    self.add_difference(self.example.line, f"verdict {at + 1}, {name}", *wrong)

    def _compare_instruments(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        """What the venue's list says, as the test shows it."""
        rule = self.connector_state.plan.symbols
        found = [row.plain() for answer in self.example.listed for row in instrument_rows(rule, answer)]
        if len(found) != len(wanted):
            shown = f"{len(found)}: {exactjson.spell(found)[:300]}"
            self.add_difference(self.example.line, "instruments", str(len(wanted)), shown)
        for at, (expected, got) in enumerate(zip(wanted, found, strict=False)):
            for name, value in expected.items():
                if not same_field("decimal" if name in _NUMBERS else "", value, got.get(name)):
                    wrong = exactjson.spell(value), "nothing" if name not in got else exactjson.spell(got[name])
                    self.add_difference(self.example.line, f"instrument {at + 1}, {name}", *wrong)

    def _handle(self, pipeline: FramePipeline, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Send:
                connection = pipeline.session.connection
                self.sent.append((connection.name, request_decoder(connection)(action.frame)))
            elif type(action) is CallAgain:
                self.calling[pipeline] = 0
            elif type(action) is Close:
                self.closed = action

    def add_difference(self, line: int, what: str, expected: str, found: str) -> None:
        """Adds one difference."""
        self.differences.append(Difference(self.example.name, line, what, expected, found))


def _became(before: tuple[int, int, int], after: tuple[int, int, int]) -> str:
    unknown, control, filtered = (new - old for old, new in zip(before, after, strict=True))
    if filtered:
        return f"; {filtered} {'item was' if filtered == 1 else 'items were'} left out as the stream says"
    if control:
        return "; a word of the connection takes the message (ignore, answer, a reply or an error)"
    return "; no rule knows the message: the `when` of no stream holds" if unknown else ""


def in_larger_decimals(wanted: Mapping[str, Any], name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a test wants of a record of the type ``name``, where that has larger decimals than v2's, which tests are
    written for: a number that v2 rounds stands there whole, and its digits are not in vendor_data once more.
    """
    record = load_record(name)
    wanted = {**wanted}
    for field, more in record.more_places.items():
        exact = found.get(field)
        if exact is None:
            continue
        rounded = Decimal(exact).quantize(Decimal(1).scaleb(more - record.field(field).scale), context=_WIDE)
        if field in wanted and rounded != Decimal(exact) and same_field("decimal", wanted[field], rounded):
            wanted[field] = exact
        notes, note = wanted.get("vendor_data"), f"{field}_exact"
        if isinstance(notes, Mapping) and note in notes and same_field("decimal", notes[note], exact):
            wanted["vendor_data"] = {key: value for key, value in notes.items() if key != note}
    return wanted


def _flat(wanted: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """A test's fields, with vendor_data's entries one by one."""
    found: list[tuple[str, Any]] = []
    for name, value in wanted.items():
        if name == "vendor_data" and isinstance(value, Mapping):
            found += [(f"vendor_data.{key}", one) for key, one in value.items()]
        else:
            found.append((name, value))
    return found


def _member(record: Mapping[str, Any], name: str) -> Any:
    if name.startswith("vendor_data."):
        return (record.get("vendor_data") or {}).get(name.removeprefix("vendor_data."))
    return record.get(name)


def same_field(kind: str, expected: Any, found: Any) -> bool:
    """Whether two values of a field of this kind are equal: decimals by value, times and dates as ISO text or as the
    number that the record holds, all else by JSON spelling.
    """
    if kind in TIMES and isinstance(expected, str) and isinstance(found, int):
        try:
            moment = datetime.fromisoformat(expected.replace("Z", "+00:00"))
        except ValueError:
            return False
        if moment.tzinfo is None:
            if kind != "date":
                return False  # the time zone is unknown
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=TIMES[kind]) == found
    if kind == "decimal" and found is not None:
        try:
            return Decimal(str(expected)) == Decimal(str(found))
        except InvalidOperation:
            return False
    if expected is None or found is None:
        return expected is found
    return exactjson.spell(expected) == exactjson.spell(found)


def _frame(value: Json, connection: Connection) -> str | bytes:
    """A received frame: text as it is, any other message by the connection's codec, as a venue sends it."""
    return value if isinstance(value, str) else encoder(connection.codec)(exactjson.encode(value))


def same(expected: Any, found: Any) -> bool:
    """Whether two frames are equal; ``$any`` in the expected one matches any value."""
    if expected == ANY:
        return True
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return expected.keys() == found.keys() and all(same(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return bool(expected == found)


def _value(frame: str | bytes, like: Any) -> Any:
    """A sent frame, to compare with what a test says of it; the kind of frame is the connection's matter."""
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    if isinstance(like, str):
        return text
    try:
        return exactjson.decode(text)
    except exactjson.JsonError:
        return text
