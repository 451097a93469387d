"""State files: any bytes are this connector's state or a ValueError, and then nothing was taken in; what was taken in
is written again, and read again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.persisted_state import checked, joined, kept, part, resume
from k2conn.runner.state_file import read_state
from tests.fuzz.draws import Draws
from tests.fuzz.places import change
from tests.support.plans import SUBSCRIBE, WORLD, plan_of, trade, trades

NOW = 1_767_323_046_000_000
STREAMS = """
streams:
  trade:
    when: {ch: trade}
    each: data
    sequence: {from: i, rule: contiguous, per: symbol}
    backfill: {http: "GET https://v.example/t?s={$symbol}&from={$first}&n={$count}", page: {size: 3, by: first}}
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
PLAN = plan_of(SUBSCRIBE, STREAMS)
RAW, CHANGED = 0, 1
TRACED = ("k2conn.engine.gaps", "k2conn.engine.persisted_state", "k2conn.runner.state_file")
WORDS = (
    b'{"version":1',
    b'"connector":"venue"',
    b'"exchange":"VENUE"',
    b'"streams":{',
    b'"trade":{',
    b'"numbers":{',
    b'"times":{',
    b'"ids":[',
    b'"contents":[',
    b'"last":',
    b'"event_us":',
    b'"holes":[[',
    b"9223372036854775808",
    b"1e5",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b'"00112233445566778899aabbccdd"',
)


class Place:
    """The file, in memory where there is such a folder."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def path(cls) -> Path:
        """Made when it is needed."""
        if cls._folder is None:
            shared = "/dev/shm"
            cls._folder = tempfile.TemporaryDirectory(dir=shared if Path(shared).is_dir() else None)
        return Path(cls._folder.name) / "venue.json"


def books() -> ConnectorState:
    """A connector's state in memory, with nothing in it."""
    return ConnectorState(PLAN, ["trade"], 1000, backfill=True)


def live(state: ConnectorState, frames: list[str]) -> None:
    """A connection of two symbols receives some frames."""
    symbols = [found for name in ("BTC-USD", "ETH-USD") if (found := PLAN.symbols.resolve(name))]
    FramePipeline(state, PLAN.connections[0], symbols, WORLD).receive(frames, 0.0, NOW)


def lived() -> Any:
    """What a process keeps that has seen some trades, and misses others."""
    state = books()
    live(state, [trades(trade(1), trade(2), trade(7), trade(20)), trades(trade(5, s="ETH-USD"), trade(9, s="ETH-USD"))])
    state.gap_records(NOW + 60_000_000)
    return kept(state)


STATE = exactjson.encode(lived())
EMPTY = kept(books())


def seeds() -> Iterator[bytes]:
    """How the file is made (one byte); its bytes, or changes of an honest one."""
    for state in (exactjson.decode(STATE), EMPTY):
        yield bytes((RAW,)) + exactjson.encode(state)
    for at in range(60):
        yield bytes((CHANGED, 1, at, at % 4, at % 12, at % 26))
    yield bytes((CHANGED, 3, 9, 0, 1, 6, 20, 1, 30, 2, 4, 4))


def changed(draws: Draws) -> Any:
    """An honest state after some changes."""
    state = exactjson.decode(STATE)
    change(state, draws, 256)
    return state


def target(data: bytes) -> None:
    """One file."""
    draws = Draws(data)
    if draws.below(2) == RAW:
        path = Place.path()
        path.write_bytes(draws.rest())
        path.chmod(0o600)
        try:
            state = read_state(path)
        except ValueError:
            return
    else:
        state = changed(draws)
    check(state)


_SPARE: list[ConnectorState] = []
"""Books that nothing was taken into; making some is what costs most."""


def check(state: Any) -> None:
    """What a process takes in."""
    connector_state = _SPARE.pop() if _SPARE else books()
    try:
        resume(connector_state, state, NOW)
    except ValueError as error:
        assert str(error)
        assert kept(connector_state) == EMPTY, "something was taken in"
        _SPARE.append(connector_state)
        return
    again = exactjson.decode(exactjson.encode(kept(connector_state)))
    resume(books(), again, NOW)
    both = joined(PLAN, [state, again])
    checked(PLAN, part(both, {"BTCUSD"}, {"ETHUSD"}, True))
    connector_state.gap_records(NOW + 60_000_000)
