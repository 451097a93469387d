"""Reads of frames mapped in C from their text, against the same engine that decodes each message: the same records,
dead letters and actions, and the same state afterwards: accounts, duplicate windows, numbers.

Frames are those of the shipped connectors' tests after some changes, of their values and of the text itself: keys that
are there twice, escapes, white space, other spellings of a number.

Run by libFuzzer, what is written in C is instrumented (`c/python_host.c`).
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any
from unittest.mock import patch

from k2conn.engine.accounting.ledger import Account
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping import stream_mapping, symbol_contexts
from k2conn.engine.plain_frames import PlainFrames
from k2conn.envelope import Envelope
from tests.fuzz.draws import Draws
from tests.fuzz.targets.engine import changed, general_mapper, native_mappers
from tests.unit.engine.test_fuzz import WALL, Shown, conversation, packed, shown

WORDS = (b"\x04", b'"a":1,', b"\\u0041", b" ", b"1e5", b"-0", b"0.10", b"null", b"[]", b"{}", b"9" * 19)
_COUNTS = attrgetter(*(name for name in Account.__slots__ if name != "latency"))


def seeds() -> Iterator[bytes]:
    """Which message (two bytes), how many frames in how many reads, then how each is made."""
    for at in range(len(shown())):
        yield bytes((at >> 8, at & 255, 0, 3, 5, 1, 1, 0, 1, 1, 0, 1, 2, 0))
        if at % 3 == 0:
            yield bytes((at >> 8, at & 255, 1, 3, 0, 2, 0, at % 7, 0, at % 5, 2, at % 26, 6, 40, 1, 5))


def edited(draws: Draws, frame: str | bytes) -> str | bytes:
    """A frame whose text is another in a few places."""
    text = frame.encode() if isinstance(frame, str) else frame
    for _ in range(1 + draws.below(3)):
        at, how = draws.below(1 << 16) % (len(text) + 1), draws.below(4)
        if how == 0:
            text = text[:at] + draws.piece(20) + text[at:]
        elif how == 1:
            text = text[:at] + draws.of(WORDS) + text[at + draws.below(8) :]
        elif how == 2:  # a piece of it once more
            text = text[:at] + text[max(0, at - draws.below(40)) :]
        else:
            text = text[:at] + text[at + 1 + draws.below(20) :]
    return text.decode("utf-8", "replace") if isinstance(frame, str) else text


def frame_of(draws: Draws, one: Shown) -> str | bytes:
    """One frame, honest or not."""
    how = draws.below(7)
    codec = one.plan.connections[0]
    if how < 2:
        return packed(codec, counted(one.value, draws.below(256)))
    if how < 4:
        return edited(draws, packed(codec, changed(draws, one.value)))
    return packed(codec, changed(draws, one.value)) if how < 6 else edited(draws, packed(codec, one.value))


def counted(value: Any, more: int) -> Any:
    """A value whose whole numbers are so much larger: another record."""
    if isinstance(value, dict):
        return {key: counted(one, more) for key, one in value.items()}
    if isinstance(value, list):
        return [counted(one, more) for one in value]
    return value + more if type(value) is int and value > 1 else value


def target(data: bytes) -> None:
    """One connection, both ways."""
    draws = Draws(data)
    one = shown()[draws.below(1 << 16) % len(shown())]
    began = draws.below(2)
    reads: list[list[str | bytes]] = [[packed(one.plan.connections[0], value)] for value in one.before]
    reads += [[frame_of(draws, one) for _ in range(1 + draws.below(4))] for _ in range(1 + draws.below(3))]
    with (
        patch.object(stream_mapping, "GeneralMapper", general_mapper),
        patch.object(symbol_contexts, "NativeMappers", native_mappers),
    ):
        quick, slow = conversation(one.plan), conversation(one.plan)
    slow._plain = PlainFrames(slow.session, ())
    for pipeline in (quick, slow):
        if began:
            pipeline.session.open(0.0, WALL)
    for number, read in enumerate(reads):
        found, wanted = (one.receive(read, float(number), WALL + number) for one in (quick, slow))
        assert list(map(comparable, found[0])) == list(map(comparable, wanted[0]))
        assert found[1] == wanted[1]
        assert state(quick) == state(slow)


def comparable(envelope: Envelope) -> tuple[Any, ...]:
    """An envelope, with its account's name instead of the account."""
    account = envelope.account
    assert isinstance(account, Account)
    return (*envelope[:5], account.stream, account.symbol, envelope.received_us)


def state(pipeline: FramePipeline) -> tuple[Any, ...]:
    """What the engine keeps beside its envelopes."""
    ledger, connector_state = pipeline.connector_state.ledger, pipeline.connector_state
    books = (ledger.frames, ledger.control, ledger.unrecognised, ledger.malformed, ledger.dead_reasons)
    streams = []
    for name, mapping in connector_state.mappings.items():
        gaps = mapping.gaps
        known = [] if gaps is None else list(map(gaps.numbers, mapping.symbols))
        numbers = [one and (one.last, one.epoch, one.event_us) for one in known]
        streams.append((name, list(mapping.window.young.items()), list(mapping.window.old.items()), numbers,
                        list(mapping.symbols)))
    scope = pipeline.session.scope
    return (books, [_COUNTS(one) for one in ledger.accounts()], streams, pipeline.session.subscriptions.quiet,
            scope.notes, scope.unknown_sides, scope.rounded, scope.letters)
