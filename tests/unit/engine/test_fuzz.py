"""Hostile frames: whatever a venue (or somebody in its place) sends, the engine keeps its feet and its books."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.cli.loading import shipped
from k2conn.codecs.decoding import decoder
from k2conn.codecs.encoding import encoder
from k2conn.engine.accounting.ledger import Account
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.routing import STREAM
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.envelope import Envelope
from k2conn.errors import REASONS, RecordError, SettingsError
from k2conn.plan import Connection, FrameEncoding, Json, Plan
from tests.support.plans import WORLD
from tests.support.shipped import load

BOUND = settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WALL = 1_767_323_046_000_000


class Shown(NamedTuple):
    """A received frame of a connector's own tests: its value, and what its connection heard before."""

    plan: Plan
    value: Json
    before: tuple[Json, ...]


@cache
def plans() -> dict[str, Plan]:
    found = {}
    for path in shipped():
        with suppress(SystemExit):
            plan = load(str(path))
            found[plan.name] = plan
    return found


@cache
def shown() -> list[Shown]:
    """The received frames of all shipped connectors."""
    found = []
    for plan in plans().values():
        for one in plan.tests:
            heard: tuple[Json, ...] = ()
            for turn in one.dialogue:
                if turn.kind == "received":
                    value = parsed(turn.value)
                    found.append(Shown(plan, value, heard))
                    heard = (*heard, value)
    return found


def parsed(value: Json) -> Json:
    """A frame as JSON; a word as it is."""
    if isinstance(value, str):
        with suppress(exactjson.JsonError):
            return exactjson.decode(value)
    return value


# -- mutations

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=-(10**40), max_value=10**40), st.text(max_size=30),
    st.sampled_from([
        "", "0", "-0", "1e400", "NaN", "Infinity", "0x10", "9" * 400, "1" + "0" * 60, "\x00", "\ufeff", "BUY", "buy",
        "2022-02-30T00:00:00Z", "9999-12-31T23:59:59Z", Decimal("1e400"), Decimal("1E-400"), Decimal("0.1234567890123"),
        10**30, -1, 1.5e308, [], {}, [[]], {"a": {"b": []}}, [None] * 50, {"": ""},
    ]),
)


def places(value: Json) -> Iterator[tuple[Any, Any]]:
    """All (container, key) of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in list(inner):
        yield value, key
        yield from places(one)


@st.composite
def mutated(draw: st.DrawFn, value: Json) -> Json:
    """A value with a few of its parts replaced, removed, doubled or moved."""
    made = [deepcopy(value)]
    for _ in range(draw(st.integers(1, 3))):
        spots = [(made, 0), *places(made[0])]
        container, key = draw(st.sampled_from(spots[:400]))
        kind = draw(st.sampled_from(["replace", "replace", "remove", "double", "swap", "rename"]))
        if kind == "remove" and container is not made:
            del container[key]
        elif kind == "double" and isinstance(container, list) and container is not made:
            container.insert(key, deepcopy(container[key]))
        elif kind == "swap":
            other, there = draw(st.sampled_from(spots[:400]))
            container[key] = deepcopy(other[there])
        elif kind == "rename" and isinstance(container, dict):
            container[draw(st.text(max_size=5))] = container.pop(key)
        else:
            container[key] = deepcopy(draw(JUNK))
    return made[0]


@st.composite
def frames(draw: st.DrawFn, plan: Plan, value: Json) -> str | bytes:
    """A frame as a socket would deliver it: honest, mutated, cut or noise."""
    kind = draw(st.sampled_from(["honest", "mutated", "mutated", "mutated", "cut", "flipped", "noise"]))
    if kind == "noise":
        return draw(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
    frame = packed(plan.connections[0], draw(mutated(value)) if kind == "mutated" else value)
    if kind == "cut":
        return frame[: draw(st.integers(0, len(frame)))]
    if kind == "flipped" and frame:
        at = draw(st.integers(0, len(frame) - 1))
        if isinstance(frame, str):
            return frame[:at] + draw(st.characters(exclude_categories=["Cs"])) + frame[at + 1 :]
        return frame[:at] + bytes([frame[at] ^ draw(st.integers(1, 255))]) + frame[at + 1 :]
    return frame


def packed(connection: Connection, value: Json) -> str | bytes:
    """A value as a frame of a connection."""
    text = value.encode("utf-8", "replace") if isinstance(value, str) else exactjson.encode(plain(value))
    return encoder(connection.codec)(text)


def plain(value: Json) -> Json:
    """Without what JSON text cannot hold."""
    if isinstance(value, dict):
        return {str(key).encode("utf-8", "replace").decode(): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# -- codec


@cache
def codecs() -> list[FrameEncoding]:
    own = [connection.codec for plan in plans().values() for connection in plan.connections]
    made = [FrameEncoding(text=steps, binary=steps, limit=1 << 16) for steps in (
        ("json",), ("gzip", "json"), ("zlib", "json"), ("deflate", "json"), ("base64", "json"), ("auto", "json"),
        ("base64", "gzip", "json"), (),
    )]
    return list({(one.text, one.binary, str(one.settings.get("message"))): one for one in (*own, *made)}.values())


@BOUND
@given(data=st.data())
def test_a_codec_raises_nothing_but_record_errors(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from(codecs()))
    frame = data.draw(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
    with suppress(RecordError):
        decoder(codec)(frame)


@BOUND
@given(data=st.data())
def test_a_codec_survives_damaged_frames(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(shown()))
    frame = data.draw(frames(one.plan, one.value))
    with suppress(RecordError):
        decoder(one.plan.connections[0].codec)(frame)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000, "1" * 1_000_000,
                                  '{"a":1,' + '"a":1,' * 100_000 + '"a":1}', "-", '"\\ud800"', "\x00" * 1000])
def test_a_codec_survives_texts_made_to_hurt(text: str) -> None:
    for frame in (text, text.encode()):
        with suppress(RecordError):
            decoder(FrameEncoding())(frame)


# -- session and books


def check(pipeline: FramePipeline, envelopes: list[Envelope], count: int) -> None:
    """The books hold, and everything that came out is well-formed."""
    ledger = pipeline.connector_state.ledger
    assert ledger.frames == count
    totals = ledger.totals()
    assert totals["received"] == totals["duplicates"] + len(envelopes)
    assert totals["in_flight"] == len(envelopes)
    for envelope in envelopes:
        assert isinstance(envelope.account, Account)
        envelope.account.settled(envelope.dead)
        if envelope.schema is None:
            letter = exactjson.decode(envelope.value)
            assert letter["reason"] in REASONS
            assert envelope.topic.endswith(".dlq")
        else:
            record = envelope.schema.decode_plain(envelope.value)
            assert record["message_id"]
            assert record["symbol"].encode() == envelope.key
    assert ledger.balanced()
    assert ledger.totals()["in_flight"] == 0


def conversation(plan: Plan) -> FramePipeline:
    """A fresh connection of a plan's first kind of socket."""
    symbols = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    pipeline = FramePipeline(
        ConnectorState(plan, [stream.name for stream in plan.streams], 1000), plan.connections[0], symbols, WORLD
    )
    answers = [turn.value for one in plan.tests for turn in one.dialogue if turn.kind == "answered"]
    for request, answer in zip(plan.connections[0].before, answers, strict=False):
        pipeline.session.captured(request.capture, answer)
    return pipeline


@BOUND
@given(data=st.data())
def test_a_session_survives_any_frames_at_any_time_and_its_ledger_balances(data: st.DataObject) -> None:
    plan = plans()[data.draw(st.sampled_from(sorted(plans())))]
    own = [one for one in shown() if one.plan is plan]
    pipeline = conversation(plan)
    session, envelopes, count, now = pipeline.session, [], 0, 1000.0
    begun = data.draw(st.booleans())
    if begun:
        session.open(now, WALL)
    for _ in range(data.draw(st.integers(1, 8))):
        now += data.draw(st.sampled_from([0.0, 0.001, 1.0, 9.0, 31.0, 3600.0]))
        wall = WALL + int(now * 1_000_000)
        move = data.draw(st.sampled_from(["frame", "frame", "frame", "frame", "timer", "open", "retire", "resume"]))
        if move == "frame" and own:
            one = data.draw(st.sampled_from(own))
            found, _ = pipeline.receive([data.draw(frames(plan, one.value))], now, wall)
            envelopes += found
            count += 1
        elif move == "timer":
            session.timer(now, wall)
        elif move == "resume":
            session.resume(5.0)
        elif move == "retire":
            session.retire(now, wall)
        elif move == "open" and not begun:
            begun = True
            session.open(now, wall)
        deadline = session.deadline
        assert deadline is None or isinstance(deadline, float)
    check(pipeline, envelopes, count)


# -- mapping


@BOUND
@given(data=st.data())
def test_a_mutated_message_makes_records_and_dead_letters_only(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(shown()))
    pipeline = conversation(one.plan)
    envelopes: list[Envelope] = []
    for value in (*one.before, data.draw(mutated(one.value))):
        found, _ = pipeline.receive([packed(one.plan.connections[0], value)], 0.0, WALL)
        envelopes += found
    check(pipeline, envelopes, len(one.before) + 1)


def items_of(pipeline: FramePipeline, message: Json) -> list[Json] | None:
    """The list of a data message's items, itself; None where a message has no such list."""
    session = pipeline.session
    kind, at = session.router.route(message, session.scope)
    if kind != STREAM or session.streams[at].each is None or session.streams[at].carry is not None:
        return None
    session.scope.message = message
    with suppress(RecordError):
        found = session.streams[at].each(message, session.scope)
        return found if isinstance(found, list) else None
    return None


@BOUND
@given(data=st.data())
def test_a_bad_item_costs_its_neighbours_nothing(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(listed()))
    honest = ids_of(one, one.value)
    message = deepcopy(one.value)
    items = items_of(heard(one), message)
    assert items is not None
    bad = data.draw(mutated(items[data.draw(st.integers(0, len(items) - 1))]))
    items.insert(data.draw(st.integers(0, len(items))), bad)
    assume(message != one.value)  # where the list is made anew, the message is as it was
    assume(items_of(heard(one), message) is not None)  # where items decide whose the message is
    found = ids_of(one, message)
    assert honest <= found, "an honest item went missing"


def heard(one: Shown) -> FramePipeline:
    """A connection that has heard what came before a frame."""
    pipeline = conversation(one.plan)
    for value in one.before:
        pipeline.receive([packed(one.plan.connections[0], value)], 0.0, WALL)
    return pipeline


def ids_of(one: Shown, value: Json) -> set[str]:
    """The message ids of all records of one message."""
    envelopes, _ = heard(one).receive([packed(one.plan.connections[0], value)], 0.0, WALL)
    return {e.schema.decode_plain(e.value)["message_id"] for e in envelopes if e.schema is not None}


def is_of_states(one: Shown) -> bool:
    """Whether items are states of something that is over some day: a bad one of the same candle, which can still be
    read, is a later state of it, and takes an honest one's place.
    """
    frame = packed(one.plan.connections[0], one.value)
    return any(stream is not None and stream.states is not None for stream, _, _ in heard(one).classify(frame))


@cache
def listed() -> list[Shown]:
    """The messages that have their items in a list, each a record of its own."""
    found = []
    for one in shown():
        if one.plan.connections[0].each is None and not is_of_states(one):
            with suppress(RecordError, SettingsError):
                items = items_of(heard(one), deepcopy(one.value))
                if items and ids_of(one, one.value):
                    found.append(one)
    return found


def test_there_is_something_to_fuzz() -> None:
    assert len(plans()) > 40
    assert len(shown()) > 200
    assert len(listed()) > 20


@BOUND
@given(text=st.text(max_size=200))
@example('{"e":"trade"}')
@example("[]")
@example("null")
def test_any_text_at_all_is_survived_by_every_connector(text: str) -> None:
    name = sorted(plans())[len(text) % len(plans())]
    pipeline = conversation(plans()[name])
    envelopes, _ = pipeline.receive([text], 0.0, WALL)
    check(pipeline, envelopes, 1)
