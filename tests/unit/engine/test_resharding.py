"""Which symbols go to which running socket, and which venues allow it: the second by every connector that ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.engine.conversation.session import Action, Close, Note, Send, SessionContext
from k2conn.engine.frame_pipeline import ConnectorState, FramePipeline
from k2conn.engine.sharding.resharding import named, obstacle, refused, resharded
from k2conn.engine.sharding.shards import Shard, carries, shards
from k2conn.plan import Connection, Plan, Stream, Symbol
from k2conn.tools.mock.connection import MockConnection
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.frame_templates import encoded
from k2conn.tools.mock.request_recognition import VenueSymbols
from tests.support.plans import plan_of
from tests.support.shipped import plans

PLANS = {plan.name: plan for plan in plans() if not plan.reads_files}
CONNECTIONS = [(plan.name, connection.name) for plan in PLANS.values() for connection in plan.connections]

WHOLE = {
    ("bitkub", "books"): "each of its sockets is for one symbol",
    ("cex-io", "main"): "each of its sockets is for one symbol",
    ("bitkub", "tickers"): "its address names the symbols",
    ("kalshi", "main"): "each of its sockets is for one symbol",
    ("kite", "main"): "'subscribe' has no undo",
    ("luno", "main"): "each of its sockets is for one symbol",
    ("ndax", "main"): "'subscribe trades' has no undo",
    ("pyth", "main"): "each of its sockets is for one symbol",
    ("bitbank", "main"): "'join trades' has no undo",
    ("bitfinex", "main"): "'subscribe trades' has no undo",
    ("bitfinex-derivatives", "main"): "'subscribe trades' has no undo",
    ("bithumb", "quotes"): "'subscribe' has no undo",
    ("bithumb", "trades"): "'subscribe' has no undo",
    ("bitso", "main"): "'subscribe trades' has no undo",
    ("btc-markets", "quotes"): "each of its sockets is for one symbol",
    ("btc-markets", "trades"): "each of its sockets is for one symbol",
    ("coincheck", "main"): "'subscribe' has no undo",
    ("digifinex", "main"): "'subscribe trades' has no undo",
    ("lseg-ads", "main"): "'open an item' has no undo",
    ("lseg-rto", "main"): "'open an item' has no undo",
    ("phemex", "main"): "'subscribe spot and inverse contracts' has no undo",
    ("oanda", "main"): "its address names the symbols",
    ("phemex-futures", "main"): "'subscribe inverse' has no undo",
    ("tiingo-iex", "main"): "'subscribe' has no undo",
    ("tradermade", "main"): "'subscribe' has no undo",
    ("upbit", "quotes"): "'subscribe' has no undo",
    ("upbit", "trades"): "'subscribe' has no undo",
    ("whitebit", "main"): "the undo of 'subscribe trades' does not name the symbols",
    ("whitebit-futures", "main"): "the undo of 'subscribe trades' does not name the symbols",
}
"""The connections that are replaced as a whole when their symbols change, and why; all others change in place."""

SECOND = {("bitflyer-cfd", "main"): "FX_ETH_JPY", ("bybit", "inverse"): "ETHUSD"}
"""A second symbol where the defaults of a connection are a single one."""


def _connection(plan: Plan, name: str) -> Connection:
    return next(connection for connection in plan.connections if connection.name == name)


def test_which_venues_allow_a_change_in_place() -> None:
    found = {(plan, name): obstacle(_connection(PLANS[plan], name), PLANS[plan].streams) for plan, name in CONNECTIONS}
    assert {key: reason for key, reason in found.items() if reason is not None} == WHOLE


class Venue:
    """A session and its venue, without a socket between them."""

    def __init__(self, plan: Plan, connection: Connection, symbols: Sequence[Symbol]) -> None:
        connector_state = ConnectorState(plan, [stream.name for stream in plan.streams])
        self.pipeline = FramePipeline(connector_state, connection, symbols, SessionContext(lambda: "u", _Keys()))
        self.session = self.pipeline.session
        self.harness = MockConnection(plan, connection, VenueSymbols(plan, names_of(plan)), {})
        for answer, request in zip(self.harness.before, connection.before, strict=False):
            self.session.captured(request.capture, answer)
        self.subscribed: set[tuple[str, str]] = set()
        self.unrecognized: list[Any] = []
        self.notes: list[Note] = []
        self.now = 0.0
        self.act(self.session.open(0.0, 0))
        for message in self.harness.welcome:
            self.hear(message)
        self.settle()

    def hear(self, message: Any) -> None:
        frame = self.harness.encode(encoded(message))
        self.act(self.pipeline.receive([frame], self.now, 0)[1])

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            assert not isinstance(action, Close), action
            if isinstance(action, Note):
                self.notes.append(action)
            elif isinstance(action, Send):
                answer = self.harness.respond(action.frame, Faults())
                if answer.request.kind == "unknown":
                    self.unrecognized.append(exactjson.decode(action.frame))
                self.subscribed -= {(one.stream, one.symbol.native) for one in answer.undone}
                self.subscribed |= {(one.stream, one.symbol.native) for one in answer.made}
                for reply in answer.replies:
                    self.hear(reply)

    def settle(self) -> None:
        """Lets the venue's rate pass."""
        while self.session.changing or not self.session.settled or len(self.session._outbox):
            assert self.session.deadline is not None
            self.now = max(self.now, self.session.deadline)
            self.act(self.session.timer(self.now, 0))

    @property
    def states(self) -> list[tuple[str, str, str]]:
        return [(one.stream, one.symbol.native, one.state) for one in self.session.subscriptions.all]


class _Keys(dict[str, str]):
    """An environment in which every key is set."""

    def __missing__(self, key: str) -> str:
        return "key"

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]


@pytest.mark.parametrize(("plan_name", "name"), [key for key in CONNECTIONS if key not in WHOLE])
def test_after_a_change_in_place_all_is_as_on_a_fresh_connection(plan_name: str, name: str) -> None:
    plan = PLANS[plan_name]
    connection = _connection(plan, name)
    first, second, *_ = [symbol for symbol in symbols_of(plan, names_of(plan)) if carries(connection, symbol)]
    venue = Venue(plan, connection, [first])
    for wanted in ([first, second], [second], [first], [second, first]):
        venue.act(venue.session.carry(wanted, venue.now, 0))
        venue.settle()
        fresh = Venue(plan, connection, wanted)
        assert venue.states == fresh.states
        assert venue.subscribed == fresh.subscribed, "what the venue has subscribed"
        assert venue.unrecognized == []
        assert venue.session.unrecognised == 0
    assert [note for note in venue.notes if note.kind in ("refused", "unacknowledged", "error")] == []


def names_of(plan: Plan) -> list[str]:
    return [*plan.symbols.default, *(second for (name, _), second in SECOND.items() if name == plan.name)]


def symbols_of(plan: Plan, names: Sequence[str]) -> list[Symbol]:
    return [symbol for name in names if (symbol := plan.symbols.resolve(name))]


# -- which symbols go where

CONNECTION = """
connection:
  url: wss://venue.example/ws
  limits: %s
  steps:
    - {name: s, send: {sub: $symbols, id: $counter}, for: [trade, quote], undo: {unsub: $symbols},
       expect: {accepted: {ok: true}, reply_to: id}}
"""


def spread(rest: str, before: list[str], after: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The sockets that are kept, go and come, each as its symbols' first letters; all with both streams."""
    plan = plan_of(CONNECTION % rest if "%" in CONNECTION else CONNECTION)
    running = shards(plan, plan.streams, symbols_of(plan, [f"{one}-USD" for one in before]))
    found = resharded(plan, plan.streams, symbols_of(plan, [f"{one}-USD" for one in after]), running)
    kept = [after for _, after in found.kept]
    return [letters(one) for one in kept], [letters(one) for one in found.gone], [letters(one) for one in found.new]


def letters(shard: Shard) -> str:
    return "".join(symbol.native[0] for symbol in shard.symbols)


@pytest.mark.parametrize(
    ("rest", "before", "after", "expected"),
    [
        ("{}", "AB", "BC", (["BC"], [], [])),
        ("{}", "AB", "ABCDEF", (["ABCDEF"], [], [])),
        ("{}", "AB", "CBA", (["CBA"], [], [])),
        ("{symbols: 2}", "ABC", "ABCD", (["AB", "CD"], [], [])),
        ("{symbols: 2}", "ABC", "ABCDEFG", (["AB", "CD"], [], ["EF", "G"])),
        ("{symbols: 2}", "ABCD", "ABC", (["AB", "C"], [], [])),
        ("{symbols: 2}", "ABCD", "AB", (["AB"], ["CD"], [])),
        ("{symbols: 2}", "ABCD", "BCDE", (["BE", "CD"], [], [])),
        ("{topics: 4}", "ABCD", "BCDEF", (["BE", "CD"], [], ["F"])),
    ],
)
def test_new_symbols_take_free_places_then_new_sockets(rest: str, before: str, after: str, expected: Any) -> None:
    assert spread(rest, list(before), list(after)) == expected


def test_where_replies_do_not_say_what_they_are_for_a_place_is_free_too_late() -> None:
    plan = plan_of((CONNECTION % "{symbols: 2}").replace(", reply_to: id", ""))
    running = shards(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD"]))
    found = resharded(plan, plan.streams, symbols_of(plan, ["B-USD", "C-USD"]), running)
    assert ([letters(one) for _, one in found.kept], [letters(one) for one in found.new]) == (["B"], ["C"])


def test_replicas_change_together() -> None:
    plan = plan_of(CONNECTION % "{symbols: 1}" + "  replicas: 2\n")
    running = shards(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD"]))
    found = resharded(plan, plan.streams, symbols_of(plan, ["B-USD", "C-USD", "D-USD"]), running)
    assert [(one.name, letters(one)) for _, one in found.kept] == [
        ("main-0.0", "C"), ("main-0.1", "C"), ("main-1.0", "B"), ("main-1.1", "B")
    ]
    assert [(one.name, letters(one)) for one in found.new] == [("main-2.0", "D"), ("main-2.1", "D")]


SINGLE = """
connection:
  url: "wss://venue.example/{$symbol}"
  per: symbol
"""


def test_sockets_of_one_symbol_come_and_go() -> None:
    plan = plan_of(SINGLE)
    running = shards(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD"]))
    found = resharded(plan, plan.streams, symbols_of(plan, ["B-USD", "C-USD"]), running)
    assert [letters(one) for _, one in found.kept] == ["B"]
    assert ([letters(one) for one in found.gone], [letters(one) for one in found.new]) == (["A"], ["C"])
    assert refused(plan, plan.streams, found) is None


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (CONNECTION % "{}", None),
        ((CONNECTION % "{}").replace("undo: {unsub: $symbols}", "undo: {unsub: all}"),
         "the undo of 's' does not name the symbols"),
        ((CONNECTION % "{}").replace(" undo: {unsub: $symbols},", ""), "'s' has no undo"),
        ((CONNECTION % "{}").replace("for: [trade, quote]", "for: trade"), "no step subscribes quote"),
        ((CONNECTION % "{}").replace("sub: $symbols", "sub: all"), "'s' does not name the symbols"),
        ((CONNECTION % "{}").replace("example/ws", "example/ws?of={$symbols}"), "its address names the symbols"),
    ],
)
def test_what_stands_in_the_way(connection: str, reason: str | None) -> None:
    plan = plan_of(connection)
    assert obstacle(plan.connections[0], plan.streams) == reason
    running = shards(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD"]))
    found = resharded(plan, plan.streams, symbols_of(plan, ["B-USD", "C-USD"]), running)
    assert refused(plan, plan.streams, found) == (None if reason is None else f"main: {reason}")
    same = resharded(plan, plan.streams, symbols_of(plan, ["B-USD", "A-USD"]), running)
    assert refused(plan, plan.streams, same) is None, "the same symbols in another order are no change"


def test_more_sockets_than_the_venue_allows_are_not_opened() -> None:
    plan = plan_of(CONNECTION % "{symbols: 1, connections: 2}")
    running = shards(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD"]))
    found = resharded(plan, plan.streams, symbols_of(plan, ["A-USD", "B-USD", "C-USD"]), running)
    assert refused(plan, plan.streams, found) == "main: 3 sockets, the venue allows 2"


def test_a_stream_that_does_not_run_stands_in_nobodys_way() -> None:
    plan = plan_of((CONNECTION % "{}").replace("for: [trade, quote]", "for: trade"))
    only: list[Stream] = [plan.stream("trade")]
    assert obstacle(plan.connections[0], only) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{sub: $symbols}", True), ("trades.{$symbol.lower}", True), ("$topic", True), ("{$topics}", True),
        ("{$symbol.base}", False), ("{$symbol.base}{$symbol.quote}", True), ("{$symbol.expiry}", False),
        ("{all: true}", False), ("$symbols_of", False),
    ],
)
def test_what_names_every_symbol(text: str, expected: bool) -> None:
    assert named(text) is expected
