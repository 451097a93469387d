"""Keyed feeds and instrument lists: signatures, forms, tokens, what a venue's own list teaches, broken limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path

import pytest

from k2conn import exactjson
from k2conn.cli.explain import run as explain
from k2conn.cli.validate import check
from k2conn.compiler.compiler import check_text
from k2conn.engine.conversation.session import Session, SessionContext
from k2conn.engine.instrument_list import learn
from k2conn.engine.planning.forecast import broken_limits, forecast
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.plan import Instrument, Plan

KEY = base64.b64encode(b"very secret").decode()
TEXT = """
connector: keyed
exchange: KEYED
asset_class: crypto
docs: https://example.com/docs
symbols:
  default: [BTC-USD]
  form: "{base}-{quote}"
  list: {http: GET https://example.com/symbols, each: data, symbol: id, base: b, quote: q, when: {on: "1"}, refresh: 1h}
connection:
  url: wss://example.com/ws
  headers: {Authorization: "Bearer {$state.token}"}
  limits: {connections: 1, symbols: 1}
  sign: {over: "{$now_s}GET/verify", key: $env.K2_KEYED_SECRET, key_encoding: base64, encoding: base64}
  before:
    - http: POST https://example.com/oauth/token
      form: {grant_type: client_credentials, client_secret: $env.K2_KEYED_SECRET}
      capture: {token: access_token}
  steps:
    - send: {op: login, at: $now_s, sign: $signature}
      expect: {accepted: {ok: true}}
streams:
  trade:
    when: {ch: t}
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: T, unit: ms},
             side: {from: S, map: {b: BUY}}}
""".replace("{on: ", '{"on": ')


def plan() -> Plan:
    found, problems = check_text("keyed.yaml", TEXT, Path())
    assert found is not None, problems
    return found


def session(symbols: tuple[str, ...] = ("BTC-USD",)) -> Session:
    found = plan()
    known = [symbol for name in symbols if (symbol := found.symbols.resolve(name))]
    return Session(found.connections[0], found.streams, known, SessionContext(lambda: "u", {"K2_KEYED_SECRET": KEY}))


def test_a_login_is_signed_with_the_time_it_names() -> None:
    (sent,) = session().open(0.0, 1_700_000_000_000_000)
    frame = exactjson.decode(sent.frame)  # type: ignore[union-attr]
    digest = hmac.new(b"very secret", b"1700000000GET/verify", hashlib.sha256).digest()
    assert frame == {"op": "login", "at": 1700000000, "sign": base64.b64encode(digest).decode()}


def test_a_token_of_an_http_answer_goes_into_the_handshake() -> None:
    on = session()
    on.captured(on.connection.before[0].capture, {"access_token": "abc"})
    assert on.headers(0) == {"Authorization": "Bearer abc"}


def learnt(rows: Generator[None, None, int]) -> tuple[int, int]:
    """How many instruments were learnt, and how often others had a turn meanwhile."""
    turns = 0
    while True:
        try:
            next(rows)
        except StopIteration as end:
            return end.value, turns
        turns += 1


def test_a_list_without_end_is_learnt_up_to_a_bound_and_in_turns() -> None:
    listing = plan().symbols.list
    assert listing is not None
    directory = SymbolDirectory(plan().symbols, 1000)
    rows = [{"id": f"X{n}", "b": f"B{n}", "q": "Q", "on": "1"} for n in range(5000)]
    count, turns = learnt(learn(listing, {"data": rows}, directory))
    assert (count, directory.passed_over) == (5000, 4000)
    assert turns >= 10
    assert directory.resolve("X999") is not None
    assert directory.resolve("X1000") is None
    learnt(learn(listing, {"data": [{**rows[7], "b": "AGAIN"}]}, directory))  # what is known can be corrected
    symbol = directory.resolve("X7")
    assert symbol is not None
    assert symbol.base == "AGAIN"


@pytest.mark.parametrize("name", ["id", "b", "q"])
def test_a_listed_name_that_is_too_long_is_not_taken_in(name: str) -> None:
    listing, directory = plan().symbols.list, SymbolDirectory(plan().symbols, 1000)
    assert listing is not None
    learnt(learn(listing, {"data": [{"id": "X1", "b": "A", "q": "B", "on": "1", name: "x" * 101}]}, directory))
    assert directory.passed_over == 1
    assert directory.resolve("X1") is None


def test_the_venue_s_own_list_says_base_and_quote() -> None:
    found = plan()
    assert found.symbols.list is not None
    assert found.symbols.list.refresh == 3600
    rows = [{"id": "WEIRD1", "b": "AAA", "q": "BBB", "on": "1"}, {"id": "OFF", "b": "C", "q": "D", "on": "0"}]
    directory = SymbolDirectory(found.symbols, 100)
    assert learnt(learn(found.symbols.list, {"data": rows}, directory)) == (1, 0)
    symbol = directory.resolve("WEIRD1")
    assert symbol is not None
    assert (symbol.base, symbol.quote, symbol.record) == ("AAA", "BBB", "AAABBB")
    assert directory.resolve("OFF") is None
    assert found.symbols.resolve("WEIRD1") is None, "the plan itself learns nothing"


def test_defaults_that_break_a_declared_limit_are_a_problem(tmp_path: Path) -> None:
    found = plan()
    two = [symbol for name in ("BTC-USD", "ETH-USD") if (symbol := found.symbols.resolve(name))]
    assert broken_limits(found, forecast(found, found.streams, two)) == ["main: 2 sockets, the venue allows 1"]
    file = tmp_path / "keyed.yaml"
    file.write_text(TEXT.replace("default: [BTC-USD]", "default: [BTC-USD, ETH-USD]"), encoding="utf-8")
    assert [problem.code for problem in check(file)[1]] == ["limit"]


def test_no_secret_is_in_the_plan_s_texts() -> None:
    assert KEY not in repr(plan())


# -- what a list says beside names

REFERENCE = (
    "{http: GET https://example.com/symbols, each: data, symbol: id, tick: t, lot: l, status: st, trading: [live]}"
)
NAMED = TEXT[TEXT.index("{http: GET"):TEXT.index("\nconnection")]


def listed(text: str) -> Plan:
    found, problems = check_text("keyed.yaml", TEXT.replace(NAMED, text), Path())
    assert found is not None, problems
    return found


def test_a_list_can_be_reference_data_only() -> None:
    found = listed(REFERENCE)
    listing = found.symbols.list
    assert listing is not None
    assert not listing.names
    directory = SymbolDirectory(found.symbols, 100)
    rows = [
        {"id": "BTC-USD", "t": "0.01", "l": 5, "st": "live"}, {"id": "ETH-USD", "t": "1e-2", "l": None, "st": "halt"},
        {"id": "A-B", "t": "x", "l": "-1", "st": None}, {"id": "C-D", "t": True, "l": "9" * 61}, {"id": "nonsense"},
        {"id": "E-F", "t": "NaN", "l": "1E+99999"}, {"id": "G-H", "t": {"deep": 1}, "l": 0}, {"id": "x" * 101},
    ]
    assert learnt(learn(listing, {"data": rows}, directory))[0] == len(rows)
    assert directory.whole
    assert directory.instruments == {
        "BTCUSD": Instrument(Decimal("0.01"), Decimal(5), "live", True),
        "ETHUSD": Instrument(Decimal("0.01"), None, "halt", False),
        "AB": Instrument(), "CD": Instrument(), "EF": Instrument(), "GH": Instrument(),
    }
    learnt(learn(listing, {"data": rows[:1]}, directory))
    assert set(directory.instruments) == {"BTCUSD"}, "what is not listed any more is gone"


def test_instruments_are_bounded() -> None:
    found = listed(REFERENCE)
    assert found.symbols.list is not None
    directory = SymbolDirectory(found.symbols, 10)
    learnt(learn(found.symbols.list, {"data": [{"id": f"X{number}-USD"} for number in range(2000)]}, directory))
    assert (len(directory.instruments), directory.whole) == (10, False)


@pytest.mark.parametrize(("text", "words"), [
    ("{http: GET https://example.com/s, each: data, symbol: id}", "say `base` and `quote`, or what it tells"),
    ("{http: GET https://example.com/s, each: data, symbol: id, base: b}", "`base` and `quote` belong together"),
    ("{http: GET https://example.com/s, each: data, symbol: id, status: s}", "`status` and `trading`"),
    ("{http: GET https://example.com/s, each: data, symbol: id, tick: t, trading: [a]}", "`status` and `trading`"),
])
def test_words_of_a_list_that_belong_together(text: str, words: str) -> None:
    found, problems = check_text("keyed.yaml", TEXT.replace(NAMED, text), Path())
    assert found is None
    assert any(words in str(problem) for problem in problems), problems


def test_reference_data_alone_reads_no_names() -> None:
    text = TEXT.replace(NAMED, REFERENCE).replace('  form: "{base}-{quote}"\n', "")
    found, problems = check_text("keyed.yaml", text, Path())
    assert found is None
    assert "nothing says how symbols are read" in str(problems[0])


def test_explain_shows_what_a_list_is_read_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keyed.yaml"
    for text, words in ((REFERENCE, "(tick, lot, status; compared with only; read at the start)"),
                        (NAMED, "(names; every 3600 s)")):
        file.write_text(TEXT.replace(NAMED, text))
        explain(str(file), None)
        assert " ".join(words.split()) in " ".join(capsys.readouterr().out.split())
