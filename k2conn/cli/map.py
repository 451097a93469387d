"""`k2conn map`: raw frames in, records out, no network."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from k2conn import exactjson
from k2conn.batch.reading import RowSource
from k2conn.batch.replayed_sessions import mapped
from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.cli.option_values import listed
from k2conn.cli.stream_names import chosen_streams
from k2conn.clock import wall_us
from k2conn.compiler.converters.times import times
from k2conn.compiler.language.problems import known
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.identity.dedup_window import REMEMBERED
from k2conn.engine.instrument_list import learn
from k2conn.engine.row_pipeline import RowPipeline
from k2conn.envelope import Envelope
from k2conn.errors import RecordError, SettingsError
from k2conn.plan import Plan
from k2conn.recording.reader import Recording, is_recording
from k2conn.runner.saved_list import read_saved
from k2conn.tools.letter_places import letter_place
from k2conn.tools.recorded_lines import recorded_lines
from k2conn.tools.unrecognised_frames import UnrecognisedFrames
from k2conn.transports.file.source import UnreadableFile

NOTHING_DEAD, DEAD = 0, 65


class InputFrame(NamedTuple):
    """One line of input."""

    frame: str
    received_at: int
    session: str


def _streams(plan: Plan, streams: str | None) -> list[str]:
    """The streams to map; all of the file's where none are named."""
    chosen = chosen_streams(plan, listed("--streams", streams) if streams is not None else ())
    return [stream.name for stream in plan.streams] if chosen is None else list(chosen)


def run(
    connector: str,
    file: str,
    frame_key: str | None,
    time_key: str | None,
    session_key: str | None,
    streams: str | None,
    deduplicate: bool,
    instruments: Path | None = None,
) -> int:
    """Maps every line; returns the exit code. ``instruments``: a file with the venue's list."""
    if frame_key is None and (time_key or session_key):
        raise SettingsError("--time-key and --session-key need --frame-key")
    plan = load(connector)
    unrecognised = UnrecognisedFrames()
    connector_state = ConnectorState(plan, _streams(plan, streams), window=REMEMBERED if deduplicate else 0)
    if instruments is not None:
        _learn(connector_state, instruments)
    mappings = connector_state.mappings
    names = {topic: name for name, one in mappings.items() for topic in one.stream.kafka_topics.values()}
    pipelines: list[FramePipeline] = []
    session: str | None = None
    if plan.reads_files:
        if file == "-" or frame_key is not None:
            raise SettingsError(f"{plan.name} reads files: k2conn map {plan.name} FILE")
        for envelopes in _of_rows(connector_state, Path(file)):
            for envelope in envelopes:
                _show(plan, connector_state, names, envelope)
                if envelope.account is not None:
                    envelope.account.settled(envelope.dead)
        return _end(connector_state, unrecognised)
    if file != "-" and is_recording(Path(file)):
        if frame_key is not None:
            raise SettingsError("--frame-key is for lines: a recording of k2conn says itself where its frames are")
        if instruments is not None:
            raise SettingsError("--list is for lines: a recording of k2conn has the list that the venue gave")
        return _of_recording(plan, Recording([Path(file)]), tuple(_streams(plan, streams)), names)
    try:
        opened = nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")  # noqa: SIM115
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    with opened as source:
        for row in _rows(source, "standard input" if file == "-" else file, frame_key, time_key, session_key):
            if not pipelines or row.session != session:
                session = row.session
                pipelines = _connect(connector_state)
            before = connector_state.ledger.unrecognised
            envelopes = _receive(connector_state, pipelines, row)
            if connector_state.ledger.unrecognised > before:
                unrecognised.add(row.frame)
            for envelope in envelopes:
                _show(plan, connector_state, names, envelope)
                if envelope.account is not None:
                    envelope.account.settled(envelope.dead)
    return _end(connector_state, unrecognised)


def _learn(connector_state: ConnectorState, path: Path) -> None:
    """Takes in a saved list of the venue's, as a connector that runs would."""
    plan = connector_state.plan
    listing = plan.symbols.list
    if listing is None:
        raise SettingsError(f"--list {path}: {plan.name} says no `list` in `symbols`")
    answers = read_saved(plan.name, listing, path)
    try:
        for _ in learn(listing, answers if listing.pages is not None else answers[0], connector_state.symbols):
            pass
    except RecordError as error:
        raise SettingsError(f"--list {path}: {error.detail}") from None


def _of_rows(connector_state: ConnectorState, path: Path) -> Iterator[list[Envelope]]:
    """What becomes of the rows of a file."""
    connection = connector_state.plan.connections[0]
    pipeline = RowPipeline(connector_state, connection)
    pipeline.begin(str(path), 0)
    try:
        source = RowSource(path, connection.codec, None)
        with closing(source):
            for rows in source.pieces():
                yield pipeline.receive(rows, wall_us())
    except UnreadableFile as error:
        raise SettingsError(f"{path}: {error}") from None


def _of_recording(plan: Plan, recording: Recording, streams: tuple[str, ...], names: dict[str, str]) -> int:
    """What became of the frames of a recording; in the sessions in which they came, and without those that came before.
    """
    unrecognised, states, code = UnrecognisedFrames(), dict[int, ConnectorState](), NOTHING_DEAD
    seen = 0
    for frames, envelopes, state in mapped(recording, plan, streams, os.environ):
        if id(state) not in states:
            states[id(state)], seen = state, 0
        if state.ledger.unrecognised > seen:
            seen = state.ledger.unrecognised
            for frame in frames:
                unrecognised.add(frame if isinstance(frame, str) else f"{len(frame)} bytes")
        for envelope in envelopes:
            _show(plan, state, names, envelope)
            if envelope.account is not None:
                envelope.account.settled(envelope.dead)
    if not states:
        there = ", ".join(recording.connectors()) or "none"
        raise SettingsError(f"the recording has no frame of {plan.name}; it has those of {there}")
    for state in states.values():
        code = max(code, _end(state, unrecognised))
        unrecognised = UnrecognisedFrames()
    for text in recording.troubles:
        show(text, error=True)
    return code


def _end(connector_state: ConnectorState, unrecognised: UnrecognisedFrames) -> int:
    """The figures; returns the exit code."""
    sys.stdout.flush()
    ledger, plan = connector_state.ledger, connector_state.plan
    for text in unrecognised.samples():
        show(text, error=True)
    show_json(ledger.report(), error=True)
    show(f"{plan.name}: {ledger.equation()}; frames {ledger.frames}, unrecognised {ledger.unrecognised}", error=True)
    return DEAD if ledger.totals()["dead_letters"] else NOTHING_DEAD


def _connect(connector_state: ConnectorState) -> list[FramePipeline]:
    """Fresh sessions of all sockets of the connector, as if just connected."""
    session_context = SessionContext(lambda: str(uuid.uuid4()), {})
    plan = connector_state.plan
    symbols = [found for name in plan.symbols.default if (found := connector_state.symbols.resolve(name))]
    return [FramePipeline(connector_state, connection, symbols, session_context) for connection in plan.connections]


def _receive(connector_state: ConnectorState, pipelines: list[FramePipeline], row: InputFrame) -> list[Envelope]:
    """One frame; of a connector with several sockets, the first that knows the message takes it."""
    if len(pipelines) == 1:
        return pipelines[0].receive([row.frame], 0.0, row.received_at)[0]
    ledger = connector_state.ledger
    for at, pipeline in enumerate(pipelines):
        before = ledger.unrecognised
        envelopes, _ = pipeline.receive([row.frame], 0.0, row.received_at)
        if ledger.unrecognised == before or at == len(pipelines) - 1:
            return envelopes
        ledger.unrecognised = before
        ledger.frames -= 1
    return []


def _show(plan: Plan, connector_state: ConnectorState, names: dict[str, str], envelope: Envelope) -> None:
    if envelope.schema is None:
        show(f"dead letter: {envelope.value.decode()}", error=True)
        if where := letter_place(plan, exactjson.decode(envelope.value)):
            show(f"  {where}", error=True)
        return
    stream = getattr(envelope.account, "stream", names.get(envelope.topic, ""))
    record = envelope.schema.decode_plain(envelope.value)
    line = {"connector": plan.name, "stream": stream, "type": envelope.schema.name, "record": record}
    show_json(line)


def _rows(
    source: BinaryIO, name: str, frame_key: str | None, time_key: str | None, session_key: str | None
) -> Iterator[InputFrame]:
    for number, line in enumerate(recorded_lines(source, name), 1):
        text = line.rstrip(b"\r\n")
        if not text.strip():
            continue
        if frame_key is None:
            yield InputFrame(text.decode("utf-8", "replace"), wall_us(), "")
            continue
        try:
            members = exactjson.members(text)
        except exactjson.JsonError as error:
            raise SettingsError(f"line {number} is no JSON object: {error}") from None
        if frame_key not in members:
            raise SettingsError(f"line {number} has no '{frame_key}'{known(frame_key, list(members))}")
        if members[frame_key] == b"null":
            continue  # another line has the frame: a dead letter that is not its frame's first
        yield InputFrame(_frame(members[frame_key]), _moment(members, time_key, number), _session(members, session_key))


def _frame(raw: bytes) -> str:
    """The frame: a JSON text's own text, or the JSON value as it stands."""
    if raw[:1] == b'"':
        return str(exactjson.decode(raw))
    return raw.decode("utf-8", "replace")


def _session(members: dict[str, bytes], key: str | None) -> str:
    return members.get(key, b"").decode("utf-8", "replace") if key else ""


def _moment(members: dict[str, bytes], key: str | None, number: int) -> int:
    """Microseconds since the epoch: ISO 8601 text, or seconds as number or text; now where the line has none."""
    value: Any = exactjson.decode(members[key]) if key and key in members else None
    if value is None:
        return wall_us()
    iso = isinstance(value, str) and not value.replace(".", "").isdecimal()
    try:
        return times("iso8601", "UTC")(value) if iso else times("s")(Decimal(value))
    except (RecordError, TypeError, ValueError, ArithmeticError) as error:
        raise SettingsError(f"line {number}: '{key}' is no time: {error}") from None
