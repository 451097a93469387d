"""Which symbols go to which socket."""

from __future__ import annotations

import pytest

from k2conn.engine.sharding.shards import shards
from k2conn.plan import Plan, Symbol
from tests.support.plans import STREAMS, plan_of

NAMES = [f"{letter}-USD" for letter in "ABCDEFG"]


def symbols(plan: Plan) -> list[Symbol]:
    return [found for name in NAMES if (found := plan.symbols.resolve(name))]


def split(connection: str, streams: str = STREAMS, only: tuple[str, ...] = ("trade", "quote")) -> list[list[str]]:
    plan = plan_of(connection, streams)
    found = shards(plan, [stream for stream in plan.streams if stream.name in only], symbols(plan))
    return [[shard.name, "".join(symbol.base for symbol in shard.symbols)] for shard in found]


TOPICS = STREAMS.replace("when: {ch: trade}", 'topic: "{$symbol}@t"\n    when: {ch: trade}').replace(
    "when: {ch: quote}", 'topic: "{$symbol}@q"\n    when: {ch: quote}'
)


@pytest.mark.parametrize(
    ("limits", "only", "expected"),
    [
        ("{}", ("trade",), [["main-0", "ABCDEFG"]]),
        ("{symbols: 3}", ("trade",), [["main-0", "ABC"], ["main-1", "DEF"], ["main-2", "G"]]),
        ("{topics: 4}", ("trade",), [["main-0", "ABCD"], ["main-1", "EFG"]]),
        ("{topics: 4}", ("trade", "quote"), [["main-0", "AB"], ["main-1", "CD"], ["main-2", "EF"], ["main-3", "G"]]),
        ("{topics: 6, symbols: 4}", ("trade",), [["main-0", "ABCD"], ["main-1", "EFG"]]),
    ],
)
def test_limits_make_several_sockets(limits: str, only: tuple[str, ...], expected: list[list[str]]) -> None:
    connection = f"connection: {{url: 'wss://v.example', limits: {limits}, steps: [{{send: {{s: $topics}}}}]}}\n"
    assert split(connection, TOPICS, only) == expected


def test_one_socket_a_symbol() -> None:
    connection = "connection: {url: 'wss://v.example/{$symbol}', per: symbol}\n"
    assert [name for name, _ in split(connection)] == [f"main-{at}" for at in range(7)]


SEVERAL = """
connections:
  - {name: trades, url: "wss://t.example", streams: [trade], symbols: "base != 'A'"}
  - {name: quotes, url: "wss://q.example", streams: [quote]}
"""


def test_several_kinds_of_sockets() -> None:
    assert split(SEVERAL) == [["trades-0", "BCDEFG"], ["quotes-0", "ABCDEFG"]]
    assert split(SEVERAL, only=("quote",)) == [["quotes-0", "ABCDEFG"]]
    assert split(SEVERAL, only=()) == []
