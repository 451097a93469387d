"""A draft played on its own sample: what the engine makes of each frame. What a draft is sure of follows from that.

Frames show how a value is read; they do not show what it means. So a guess stays sure only where every record of its
stream was made with it, and it leaves nothing to find out.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.plan import Connection, Plan
from k2conn.tools.drafting.draft import Draft, DraftStream
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.recording import DraftFrame
from k2conn.tools.letter_places import letter_place
from k2conn.tools.unrecognised_frames import UnrecognisedFrames

RECEIVED_AT = 1_767_323_045_000_000
"""2026-01-02T03:04:05Z: when the frames of a sample, and of a test that does not say it, are received."""
_KINDS = 12
"""Kinds of dead letters that are told apart."""
_DETAIL = 200


@dataclass(slots=True)
class PlayedStream:
    """What one stream made of a sample. ``frames``: the texts of those that gave it something."""

    records: int = 0
    left_out: int = 0
    """Items that are no record: of a span that is not over, or dropped."""
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Dead letters by field and reason."""
    frames: set[str] = field(default_factory=set)


@dataclass(slots=True)
class PlayedSample:
    """What became of a sample's frames: each is mapped, or of the conversation, or no rule knows it."""

    frames: int = 0
    mapped: int = 0
    conversation: int = 0
    unrecognised: int = 0
    unreadable: int = 0
    """Those that are no messages as the draft reads frames."""
    streams: dict[str, PlayedStream] = field(default_factory=dict)
    letters: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """The first detail of each kind of dead letter, by stream, field and reason."""
    unknown: UnrecognisedFrames = field(default_factory=UnrecognisedFrames)

    @property
    def dead(self) -> int:
        """All dead letters."""
        return sum(one.dead.total() for one in self.streams.values())

    def lines(self) -> Iterator[str]:
        """What became of it, for people: the counts, then each kind of dead letter, then frames that no rule knows."""
        yield (f"played on {_number(self.frames, 'different frame')} of its sample: {self.mapped} mapped, "
               f"{self.conversation} of the conversation, {self.unrecognised} unrecognised; "
               f"{_number(self.dead, 'dead letter')}")
        if self.unreadable:
            yield (f"  {_number(self.unreadable, 'frame')} cannot be read as JSON: `codec` says how frames become JSON "
                   "({text: prefixed} for those of Socket.IO); what is not read is not drafted")
        for name, one in self.streams.items():
            left = f", {_number(one.left_out, 'item')} left out" if one.left_out else ""
            if name or one.dead:
                yield (f"  {name or 'no stream'}: {_number(one.records, 'record')}{left}, "
                       f"{_number(one.dead.total(), 'dead letter')}")
        for (stream, name, reason), detail in self.letters.items():
            count = self.streams[stream].dead[name, reason]
            words = " ".join(filter(None, (stream, name)))
            yield f"  dead letters, {count} like: {words} {reason}: {detail}"
        for text in self.unknown.samples():
            yield f"  {text}"


def play(plan: Plan, sample: Sequence[DraftFrame]) -> PlayedSample:
    """Plays the frames of a sample, on one connection, through all streams of a plan."""
    names = [stream.name for stream in plan.streams]
    state = ConnectorState(plan, names, window=0)
    found = PlayedSample(streams={name: PlayedStream() for name in names})
    pipeline = fresh(plan, state)
    session = pipeline.session
    for number, text in enumerate(dict.fromkeys(frame.text for frame in sample if not frame.sent)):
        control, unrecognised = session.control, session.unrecognised
        envelopes, _ = pipeline.receive([text], 0.0, RECEIVED_AT + number)
        found.frames += 1
        if session.unrecognised > unrecognised:
            found.unrecognised += 1
            found.unknown.add(text)
        elif not envelopes and session.control > control:
            found.conversation += 1
        elif envelopes and all(_is_no_message(one) for one in envelopes):
            found.unreadable += 1
        else:
            found.mapped += 1
        for one in envelopes:
            if one.schema is None:
                _bury(found, plan, exactjson.decode(one.value), text)
            elif (name := getattr(one.account, "stream", "")) in found.streams:
                found.streams[name].records += 1
                found.streams[name].frames.add(text)
    for name, figures in state.ledger.by_stream().items():
        if name in found.streams:
            found.streams[name].left_out = figures["filtered"]
    return found


def _is_no_message(envelope: Envelope) -> bool:
    return envelope.schema is None and exactjson.decode(envelope.value).get("reason") == "malformed-frame"


def fresh(plan: Plan, state: ConnectorState, connection: Connection | None = None) -> FramePipeline:
    """A connection that was just opened: the plan's first, where none is named. It has no environment."""
    symbols = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    context = SessionContext(lambda: str(uuid.uuid4()), {})
    return FramePipeline(state, connection or plan.connections[0], symbols, context)


def _bury(found: PlayedSample, plan: Plan, letter: dict[str, object], text: str) -> None:
    stream, name, reason = (str(letter.get(key) or "") for key in ("stream", "field", "reason"))
    one = found.streams.setdefault(stream if stream in found.streams else "", PlayedStream())
    key = (stream if stream in found.streams else "", name, reason)
    one.dead[name, reason] += 1
    one.frames.add(text)
    if len(found.letters) < _KINDS:
        where = letter_place(plan, letter).partition(f": {name}: ")[2]  # without the line: it moves with each comment
        found.letters.setdefault(key, where or str(letter.get("detail") or "")[:_DETAIL])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# -- what is sure


def judged(made: Draft, played: PlayedSample | None) -> Draft:
    """The draft with nothing sure that playing it did not show; None: it could not be played."""
    streams = tuple(_judged(one, played.streams.get(one.name) if played is not None else None) for one in made.streams)
    return replace(made, streams=streams)


def _judged(stream: DraftStream, played: PlayedStream | None) -> DraftStream:
    mapping = stream.mapping
    fields = {name: _field(guess, name, played) for name, guess in mapping.fields.items()}
    symbol = replace(mapping.symbol, guess=_field(mapping.symbol.guess, "symbol", played))
    options = {name: _field(guess, name, played) for name, guess in mapping.options.items()}
    own = {frame.text for group in mapping.groups for frame in group.frames}
    when = stream.when
    if played is None or not played.frames <= own or not played.frames:
        when = when._replace(sure=False)
    mapping = replace(mapping, fields=fields, symbol=symbol, options=options)
    return stream._replace(when=when, mapping=mapping)


def _field(guess: Guess, name: str, played: PlayedStream | None) -> Guess:
    if played is None:
        return guess._replace(sure=False)
    dead = {reason: count for (one, reason), count in played.dead.items() if one == name}
    if dead:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dead.items())
        return guess._replace(sure=False, why=f"{guess.why}; DEAD LETTERS when played: {reasons}")
    return guess._replace(sure=guess.sure and played.records > 0 and not guess.gap)
