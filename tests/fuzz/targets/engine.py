"""Whole frames of all shipped connectors, honest ones changed, on fresh connections: records and dead letters come out,
nothing else, and the ledger balances.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from unittest.mock import patch

from k2conn.engine.mapping import stream_mapping, symbol_contexts
from k2conn.engine.mapping.general_mapper import GeneralMapper
from k2conn.engine.mapping.native_mapper import NativeMappers
from k2conn.envelope import Envelope
from k2conn.plan import Stream
from tests.fuzz.draws import Draws
from tests.fuzz.once import Once
from tests.fuzz.places import places
from tests.unit.engine.test_fuzz import WALL, check, conversation, packed, shown

TRACED = ("k2conn.codecs", "k2conn.engine.conversation", "k2conn.engine.mapping")
WORDS = (b"\x04", b"\x02\x07", b"\x06\x0564000", b"\x0b\x01", b"\x0a\x02", b"\xff\xff", b"[[]]", b'{"a":1}')


_general = Once(GeneralMapper)
_native = Once(NativeMappers)


def general_mapper(exchange: str, stream: Stream, *rest: Any) -> Any:
    """The general mapper of a stream, which all connections of all executions can have in common."""
    return _general.by(stream, exchange, stream, *rest)


def native_mappers(stream: Stream, *rest: Any) -> Any:
    """The maker of native mappers of a stream, as `general_mapper`."""
    return _native.by(stream, stream, *rest)


def seeds() -> Iterator[bytes]:
    """Which message (two bytes), how many frames, then how each is made."""
    for at in range(0, len(shown()), 3):
        yield bytes((at >> 8, at & 255, 1, 0, 2, 0, at % 7, 0, at % 5, 2, at % 26))
        yield bytes((at >> 8, at & 255, 2, 0, 1, 0, at % 11, at % 4, 1, 0))


def changed(draws: Draws, value: Any) -> Any:
    """A message after some changes."""
    made = [deepcopy(value)]
    for _ in range(draws.below(4)):
        spots = [(made, 0), *places(made[0])]
        container, key = spots[draws.below(1 << 16) % len(spots)]
        how = draws.below(6)
        if how == 0 and container is not made:
            del container[key]
        elif how == 1:
            other, there = spots[draws.below(1 << 16) % len(spots)]
            container[key] = deepcopy(other[there])
        elif how == 2 and isinstance(container, dict):
            container[draws.text(20)] = container.pop(key)
        elif how == 3 and isinstance(container, list) and container is not made:
            container.insert(key, deepcopy(container[key]))
        else:
            container[key] = draws.value()
    return made[0]


def target(data: bytes) -> None:
    """One connection."""
    draws = Draws(data)
    one = shown()[draws.below(1 << 16) % len(shown())]
    with (
        patch.object(stream_mapping, "GeneralMapper", general_mapper),
        patch.object(symbol_contexts, "NativeMappers", native_mappers),
    ):
        pipeline = conversation(one.plan)
    codec = one.plan.connections[0]
    frames: list[str | bytes] = [packed(codec, value) for value in one.before]
    for _ in range(1 + draws.below(3)):
        how = draws.below(8)
        if how == 7:
            frames.append(draws.piece())
        elif how == 6:
            frames.append(draws.text())
        else:
            frames.append(packed(codec, changed(draws, one.value)))
    envelopes: list[Envelope] = []
    for number, frame in enumerate(frames):
        envelopes += pipeline.receive([frame], float(number), WALL + number)[0]
    check(pipeline, envelopes, len(frames))
