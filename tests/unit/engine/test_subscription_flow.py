"""Other symbols on an open connection, by scripts of input, time and output. Nothing sleeps."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn.compiler.compiler import check_text
from k2conn.plan import Symbol
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, Script, plan_of, trade, trades

BTC, ETH, XRP, ADA = "BTC-USD", "ETH-USD", "XRP-USD", "ADA-USD"
STEP = """
  steps:
    - send: {sub: $symbols, id: $counter}
      for: trade
      expect: {accepted: {ok: true}, refused: {ok: false}, symbol: s, reason: why, within: 5s}
      undo: {unsub: $symbols, id: $counter}
"""
TWO = """
  steps:
    - {name: log in, send: {login: 1}, expect: {accepted: {in: 1}, within: 5s}}
    - {name: one, send: {sub: $symbols, of: trade}, for: trade, undo: {unsub: $symbols, of: trade}, expect: &x}
    - {name: two, send: {sub: $symbols, of: quote}, for: quote, undo: {unsub: $symbols, of: quote}, expect: &x}
""".replace("&x", "{accepted: {ok: true}, refused: {ok: false}, symbol: s, within: 5s}")


def connection(rest: str) -> str:
    return "connection:\n  url: wss://venue.example/ws\n" + rest


class Changing(Script):
    """A script whose connection goes over to other symbols."""

    def resolve(self, *names: str) -> list[Symbol]:
        found = [self.pipeline.connector_state.plan.symbols.resolve(name) for name in names]
        return [one for one in found if one is not None]

    def carry(self, *names: str) -> list[Any]:
        return self._act(self.session.carry(self.resolve(*names), self.now, self.wall))


def opened(rest: str = STEP, *symbols: str, streams: list[str] | None = None) -> Changing:
    on = Changing(plan_of(connection(rest)), symbols or (BTC, ETH), streams or ["trade"])
    on.open()
    return on


def settled(rest: str = STEP, *symbols: str) -> Changing:
    on = opened(rest, *symbols)
    on.hear({"ok": True, "s": list(symbols) or [BTC, ETH]})
    assert on.session.settled
    return on


def test_what_is_new_is_asked_for_and_what_is_gone_is_taken_back_when_that_is_answered() -> None:
    on = settled()
    assert on.carry(ETH, XRP) == [{"sub": [XRP], "id": 2}]
    assert on.session.changing
    assert on.states() == {ETH: "confirmed", XRP: "pending"}
    assert on.hear({"ok": True, "s": XRP}) == [{"unsub": [BTC], "id": 3}]
    assert on.states() == {ETH: "confirmed", XRP: "confirmed"}
    assert not on.session.changing
    assert on.noted("changed") == [{"added": [XRP], "removed": [BTC], "refused": []}]
    assert len(on.noted("settled")) == 1
    assert on.session.deadline == on.session.last_frame + 60, "nothing more is waited for"


def test_only_gone_symbols_are_taken_back_at_once() -> None:
    on = settled()
    assert on.carry(ETH) == [{"unsub": [BTC], "id": 2}]
    assert not on.session.changing
    on.hear({"ok": True, "s": BTC, "id": 2})
    assert on.states() == {ETH: "confirmed"}, "the venue's answer to that changes nothing"
    assert on.pipeline.connector_state.ledger.unrecognised == 0


def test_the_same_symbols_change_nothing() -> None:
    on = settled()
    assert on.carry(ETH, BTC) == []
    assert not on.session.changing


def test_a_refused_symbol_is_reported_and_leaves_the_others() -> None:
    on = settled()
    on.carry(BTC, ETH, XRP, ADA)
    on.hear({"ok": True, "s": XRP})
    on.hear({"ok": False, "s": ADA, "why": "no such pair"})
    assert on.states() == {BTC: "confirmed", ETH: "confirmed", XRP: "confirmed", ADA: "refused"}
    assert on.noted("refused") == [{"stream": "trade", "symbol": ADA, "reason": "no such pair"}]
    assert on.noted("changed") == [{"added": [XRP, ADA], "removed": [], "refused": [ADA]}]
    assert on.closed is None
    assert on.carry(BTC) == [{"unsub": [ETH, XRP], "id": 3}], "a refused one need not be taken back"


def test_an_unanswered_symbol_is_reported_and_the_gone_one_goes_all_the_same() -> None:
    on = settled()
    on.carry(ETH, XRP)
    assert on.wait(5.1) == [{"unsub": [BTC], "id": 3}]
    assert on.closed is None
    assert on.states() == {ETH: "confirmed", XRP: "unacknowledged"}
    on.hear({"ok": True, "s": XRP})
    assert on.states()[XRP] == "confirmed", "a late answer is one"


def test_where_all_that_is_left_is_refused_the_connection_ends() -> None:
    on = settled()
    on.carry(XRP)
    on.hear({"ok": False, "s": XRP, "why": "closed"})
    assert on.closed is not None
    assert on.closed.cause == "refused"
    assert not on.session.changing


def test_every_step_asks_in_its_turn_but_the_set_up() -> None:
    on = Changing(plan_of(connection(TWO)), (BTC,))
    on.open()
    on.hear({"in": 1})
    on.hear({"ok": True, "s": BTC})
    on.hear({"ok": True, "s": BTC})
    assert on.session.settled
    assert on.carry(ETH) == [{"sub": [ETH], "of": "trade"}]
    assert on.hear({"ok": True, "s": ETH}) == [{"sub": [ETH], "of": "quote"}]
    assert on.hear({"ok": True, "s": ETH}) == [{"unsub": [BTC], "of": "trade"}, {"unsub": [BTC], "of": "quote"}]
    assert (on.states("trade"), on.states("quote")) == ({ETH: "confirmed"}, {ETH: "confirmed"})
    on.hear({"in": 1})
    assert on.closed is None


def test_a_change_before_the_connection_is_open_is_what_it_opens_with() -> None:
    on = Changing(plan_of(connection(STEP)), (BTC, ETH), ["trade"])
    assert on.carry(XRP) == []
    assert on.open() == [{"sub": [XRP], "id": 1}]


def test_a_change_amid_subscribing_waits_for_its_end_and_the_latest_one_counts() -> None:
    on = opened()
    assert on.carry(ETH, XRP) == []
    assert on.carry(ETH, ADA) == []
    assert on.session.changing
    assert on.hear({"ok": True, "s": [BTC, ETH]}) == [{"sub": [ADA], "id": 2}]
    assert on.carry(BTC, ADA) == [], "the change before is still under way"
    assert on.hear({"ok": True, "s": ADA}) == [{"unsub": [BTC], "id": 3}, {"sub": [BTC], "id": 4}]
    assert on.hear({"ok": True, "s": BTC}) == [{"unsub": [ETH], "id": 5}]
    assert on.states() == {BTC: "confirmed", ADA: "confirmed"}


def test_where_there_is_no_room_for_both_the_gone_one_goes_first() -> None:
    on = settled("  limits: {symbols: 2}" + STEP)
    assert on.carry(ETH, XRP) == [{"unsub": [BTC], "id": 2}, {"sub": [XRP], "id": 3}]
    assert on.hear({"ok": True, "s": XRP}) == []
    roomy = settled("  limits: {symbols: 3}" + STEP)
    assert roomy.carry(ETH, XRP) == [{"sub": [XRP], "id": 2}]


def test_the_venues_rate_holds_for_a_change_too() -> None:
    rest = "  limits: {send: 1 per 1s}" + STEP.replace("$symbols", "$symbol")
    on = opened(rest, BTC)
    on.hear({"ok": True, "s": BTC})
    on.now += 5
    assert on.carry(ETH, XRP) == [{"sub": ETH, "id": 2}]
    assert on.wait(1.01) == [{"sub": XRP, "id": 3}]
    on.hear({"ok": True, "s": [ETH, XRP]})
    assert on.wait(1.0) == [{"unsub": BTC, "id": 4}]


def test_taking_back_keeps_to_the_frames_bytes() -> None:
    on = settled("  limits: {frame: 40 B}" + STEP, BTC, ETH, XRP)
    assert [frame["unsub"] for frame in on.carry(ADA, BTC)[1:]] == []
    assert [frame["unsub"] for frame in on.hear({"ok": True, "s": ADA})] == [[ETH], [XRP]]


def test_first_data_confirms_a_new_symbol() -> None:
    rest = "  steps: [{send: {sub: $symbols}, for: trade, expect: first-data, undo: {unsub: $symbols}}]\n"
    on = opened(rest)
    on.hear(trades(trade(1), trade(2, s=ETH)))
    assert not on.session.subscriptions.waiting
    assert on.carry(ETH, XRP) == [{"sub": [XRP]}, {"unsub": [BTC]}]
    assert on.session.subscriptions.waiting
    on.hear(trades(trade(3, s=XRP)))
    assert on.states() == {ETH: "confirmed", XRP: "confirmed"}
    assert not on.session.subscriptions.waiting


def test_late_data_of_a_gone_symbol_is_published() -> None:
    on = settled()
    on.carry(ETH)
    on.hear(trades(trade(1), trade(2)))
    assert len(on.envelopes) == 2
    assert on.states() == {ETH: "confirmed"}
    account = on.pipeline.connector_state.ledger.account("trade", "BTCUSD")
    assert (account.received, account.filtered, account.dead_letters) == (2, 0, 0)


def test_retiring_amid_a_change_takes_everything_back() -> None:
    on = settled()
    on.carry(ETH, XRP)
    assert on.retire() == [{"unsub": [ETH, XRP, BTC], "id": 3}]
    assert on.carry(BTC) == []
    assert not on.session.changing


def test_a_late_answer_for_a_gone_symbol_is_for_nobody() -> None:
    on = opened()
    on.hear({"ok": True, "s": ETH})
    on.wait(5.1)
    assert on.states() == {BTC: "unacknowledged", ETH: "confirmed"}
    on.carry(ETH)
    on.hear({"ok": False, "s": BTC, "why": "late"})
    assert on.noted("refused") == []


def test_a_late_answer_to_a_later_step_of_an_earlier_round_counts() -> None:
    on = Changing(plan_of(connection(TWO)), (BTC, ETH))
    on.open()
    on.hear({"in": 1})
    on.hear({"ok": True, "s": [BTC, ETH]})
    on.hear({"ok": True, "s": BTC})
    on.wait(5.1)
    assert on.states("quote") == {BTC: "confirmed", ETH: "unacknowledged"}
    on.carry(BTC, ETH, XRP)
    on.hear({"ok": True, "s": ETH})
    assert on.states("quote") == {BTC: "confirmed", ETH: "confirmed", XRP: "pending"}
    assert on.states("trade")[XRP] == "pending"


def test_an_answer_that_says_nothing_is_for_what_was_asked_for_now() -> None:
    on = opened(STEP.replace(" symbol: s,", "").replace("$symbols", "$symbol"))
    on.hear({"ok": True})
    on.wait(5.1)
    assert on.states() == {BTC: "confirmed", ETH: "unacknowledged"}
    on.carry(BTC, ETH, XRP)
    on.hear({"ok": True})
    assert on.states() == {BTC: "confirmed", ETH: "unacknowledged", XRP: "confirmed"}


SHARED = STREAMS.replace("when: {ch: trade}", 'topic: "{$symbol.quote}@trade"\n    when: {ch: trade}')
BY_TOPIC = """
  steps: [{send: {sub: $topics}, for: trade, undo: {unsub: $topics},
           expect: {accepted: {ok: true}, topic: t, within: 5s}}]
"""


def test_a_topic_that_another_symbol_needs_is_neither_asked_for_again_nor_given_up() -> None:
    on = Changing(plan_of(connection(BY_TOPIC), SHARED), (BTC, "BTC-EUR"), ["trade"])
    assert on.open() == [{"sub": ["USD@trade", "EUR@trade"]}]
    on.hear({"ok": True, "t": ["USD@trade", "EUR@trade"]})
    assert on.carry(ETH, "BTC-EUR") == []
    assert on.states() == {ETH: "confirmed", "BTC-EUR": "confirmed"}
    assert on.carry(ETH) == [{"unsub": ["EUR@trade"]}]


FIRST = STREAMS.replace("each: data", "each: data\n    first_batch: skip", 1)


def test_a_symbol_that_comes_back_begins_anew() -> None:
    on = Changing(plan_of(connection(STEP), FIRST), (BTC, ETH), ["trade"])
    on.open()
    on.hear({"ok": True, "s": [BTC, ETH]})
    on.hear(trades(trade(1)))
    on.hear(trades(trade(2)))
    assert len(on.envelopes) == 1
    on.carry(ETH)
    on.carry(BTC, ETH)
    on.hear(trades(trade(1), trade(2)))
    assert len(on.envelopes) == 1, "its first message is its recent past again"
    on.hear(trades(trade(3)))
    assert len(on.envelopes) == 2


def test_equal_rows_that_come_back_with_a_symbol_are_the_same_rows() -> None:
    rows = STREAMS.replace("      trade_id: i\n", "")
    rows = rows.replace("each: data", "each: data\n    identity: [timestamp, price]")
    on = Changing(plan_of(connection(STEP), rows), (BTC, ETH), ["trade"])
    on.open()
    on.hear({"ok": True, "s": [BTC, ETH]})
    on.hear(trades(trade(), trade(), trade(s=ETH)))
    assert len(on.envelopes) == 3
    on.carry(ETH)
    on.carry(BTC, ETH)
    on.hear(trades(trade(), trade(), trade(s=ETH)))
    assert len(on.envelopes) == 4, "of another symbol, a further equal row is another one"
    assert on.pipeline.connector_state.ledger.totals()["duplicates"] == 2


LATER = """
  steps:
    - send: {names: $symbols, type: market}
      later: {names: $symbols, operation: add}
      for: trade
      batch: 1
      expect: {accepted: {ok: true}, refused: {ok: false}, symbol: s, within: 5s, retry: {after: 30s}}
      undo: {names: $symbols, operation: remove}
"""


def test_every_frame_but_the_first_is_the_later_one() -> None:
    """Of the first round's batches, of symbols that come later, and of what is asked for again."""
    on = Changing(plan_of(connection(LATER)), (BTC, ETH), ["trade"])
    assert on.open() == [{"names": [BTC], "type": "market"}, {"names": [ETH], "operation": "add"}]
    on.hear({"ok": True, "s": [BTC]})
    on.hear({"ok": False, "s": [ETH]})
    assert on.wait(30.1) == [{"names": [ETH], "operation": "add"}]
    on.hear({"ok": True, "s": [ETH]})
    assert on.carry(BTC, ETH, XRP) == [{"names": [XRP], "operation": "add"}]
    another = Changing(plan_of(connection(LATER)), (XRP,), ["trade"])  # the next connection begins anew
    assert another.open() == [{"names": [XRP], "type": "market"}]


def test_a_later_frame_counts_for_the_limit_of_bytes() -> None:
    rest = LATER.replace("      batch: 1\n", "      batch_bytes: 48 B\n")
    on = Changing(plan_of(connection(rest)), (BTC, ETH), ["trade"])
    # both names fit into the first frame, and not into a later one
    assert on.open() == [{"names": [BTC], "type": "market"}, {"names": [ETH], "operation": "add"}]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("{op: add}", "`later` asks for the same as `send`, which has $symbols"),
        ("{names: $topics}", "`later` asks for the same as `send`, which has $symbols"),
        ("{names: $symbols, key: $nobody}", "$nobody"),
    ],
)
def test_a_later_frame_that_cannot_be_meant(change: str, text: str) -> None:
    rest = LATER.replace("{names: $symbols, operation: add}", change)
    _, problems = check_text("venue.yaml", HEAD + connection(rest) + STREAMS, ROOT)
    assert any(text in problem.text for problem in problems), problems


def test_a_later_frame_is_for_what_subscribes() -> None:
    rest = "  steps: [{name: log in, send: {login: 1}, later: {login: 2}, expect: {accepted: {in: 1}}}]\n"
    _, problems = check_text("venue.yaml", HEAD + connection(rest) + STREAMS, ROOT)
    assert any("`later` is for steps that subscribe" in problem.text for problem in problems), problems
