"""The state topic: any keys and values are a connector's state, or refused before any of it is taken in; what was taken
in is written again, and read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.state_parts import KEPT_IDS, StateParts, connector_of, taken_in
from k2conn.errors import SinkError
from k2conn.sinks.journal import JournalEntries, border_of
from k2conn.sinks.kafka.state_reader import LatestValues
from tests.fuzz.draws import Draws
from tests.fuzz.places import change
from tests.fuzz.targets.state import NOW, PLAN, books, live
from tests.support.plans import trade, trades

CONTENT = bytes(14)
RAW, CHANGED = 0, 1
TRACED = (
    "k2conn.engine.gap_parts", "k2conn.engine.gaps", "k2conn.engine.state_parts", "k2conn.sinks.kafka.state_reader",
)
WORDS = (
    b'["symbol","venue","trade","BTCUSD"]', b'["ids","venue","trade",0]', b'["connector","venue"]', b'["border","u"]',
    b'{"v":1,', b'"number":9223372036854775807', b'"ids":[', b'"contents":[', b'"last":', b'"event_us":', b'"time":',
    b'"gaps":[{', b'"ranges":[[', b'"cause":"gap"', b'"reported":null', b'"fill":true', b"1e999999999", b"-1",
    b'"00112233445566778899aabbccdd"',
)


def lived() -> JournalEntries:
    """What a process writes that has seen some trades, and misses others."""
    state = books()
    parts = StateParts(state)
    live(state, [trades(trade(1), trade(2), trade(7), trade(20)), trades(trade(5, s="ETH-USD"), trade(9, s="ETH-USD"))])
    found = parts.changes()
    state.gap_records(NOW + 60_000_000)
    return [*found, *parts.changes()]


ENTRIES = lived()
TEXT = exactjson.encode([[*pair] for pair in ENTRIES])


def seeds() -> Iterator[bytes]:
    """How the messages are made; their bytes, keys and values in turn, or changes of honest ones."""
    messages = [(exactjson.encode(key), exactjson.encode(value)) for key, value in ENTRIES]
    yield bytes((RAW,)) + b"\n".join(part for message in messages for part in message)
    for key, value in messages:
        yield bytes((RAW,)) + key + b"\n" + value
    for at in range(120):
        yield bytes((CHANGED, 1, at, at % 4, at % 12, at % 26))
    yield bytes((RAW,)) + b'["border","u"]\n{"v":1,"incarnation":"i","number":5}'


def changed(draws: Draws) -> list[tuple[bytes, bytes]]:
    """Honest entries after some changes."""
    entries: Any = exactjson.decode(TEXT)
    change(entries, draws, 65536)
    pairs = [pair for pair in entries if isinstance(pair, list) and len(pair) == 2]
    return [(exactjson.encode(key), exactjson.encode(value)) for key, value in pairs]


def target(data: bytes) -> None:
    """One partition of the topic."""
    draws = Draws(data)
    if draws.below(2) == RAW:
        lines = draws.rest().split(b"\n")
        messages = list(zip(lines[::2], lines[1::2], strict=False))
    else:
        messages = changed(draws)
    latest = LatestValues("topic")
    for offset, (key, value) in enumerate(messages):
        latest.put(key, offset, value)
    try:
        entries = latest.decoded()
    except SinkError as error:
        assert "topic" in str(error)
        return
    for _, value in entries:
        try:
            border_of(value)
        except ValueError:
            continue
    check([(key, value) for key, value in entries if connector_of(key) == PLAN.name])


_SPARE: list[ConnectorState] = []
"""Books that nothing was taken into; making some is what costs most."""
NOTHING = StateParts(books()).changes()


def check(entries: JournalEntries) -> None:
    """What the next process does, and the one behind that."""
    state = _SPARE.pop() if _SPARE else books()
    try:
        pages = taken_in(state, entries, NOW)
    except ValueError as error:
        assert str(error)
        assert StateParts(state).changes() == NOTHING, "something was taken in"
        _SPARE.append(state)
        return
    mapping = state.mappings["trade"]
    assert mapping.gaps is not None
    assert len(mapping.window) <= KEPT_IDS
    parts = StateParts(state, pages)
    first = parts.changes()
    for number in (31, 40, 2):
        mapping.window.seen(f"id-{number}", CONTENT)
        mapping.gaps.see("BTCUSD", number, None, NOW, 1, NOW + number)
    state.gap_records(NOW + 60_000_000)
    known = {exactjson.encode(key): exactjson.encode(value) for key, value in [*entries, *first, *parts.changes()]}
    again = [(exactjson.decode(key), exactjson.decode(value)) for key, value in known.items()]
    taken_in(books(), again, NOW)
