"""No more requests wait for an answer than the venue allows."""

from __future__ import annotations

from typing import Any

from tests.support.plans import Script, plan_of

CONNECTION = """
connection:
  url: wss://venue.example/ws
  limits: {unanswered: 2}
  steps:
    - name: subscribe
      send: {sub: $symbol}
      for: trade
      expect: {accepted: {ok: true}, refused: {ok: false}, symbol: s, within: 5s}
    - {send: {op: next}}
"""
NAMES = [f"{letter}-USD" for letter in "ABCDE"]


def opened(connection: str = CONNECTION) -> tuple[Script, list[Any]]:
    on = Script(plan_of(connection), tuple(NAMES), ["trade"])
    return on, on.open()


def sub(*names: str) -> list[dict[str, str]]:
    return [{"sub": f"{name}-USD"} for name in names]


def test_further_ones_are_sent_as_answers_come() -> None:
    on, sent = opened()
    assert sent == sub("A", "B")
    assert on.hear({"ok": True, "s": "B-USD"}) == sub("C")
    assert on.hear({"ok": False, "s": "A-USD"}) == sub("D")
    assert on.hear({"ok": True, "s": "C-USD"}) == sub("E")
    assert on.hear({"ok": True, "s": "D-USD"}) == []
    assert on.hear({"ok": True, "s": "E-USD"}) == [{"op": "next"}]


def test_the_time_for_answers_begins_anew_with_each() -> None:
    on, _ = opened()
    for answered, sent in (("A", "C"), ("B", "D"), ("C", "E")):
        assert on.wait(4) == []
        assert on.hear({"ok": True, "s": f"{answered}-USD"}) == sub(sent)
    assert on.closed is None
    assert not on.noted("unacknowledged")


def test_what_is_not_answered_in_time_makes_room() -> None:
    on, _ = opened()
    assert on.hear({"ok": True, "s": "A-USD"}) == sub("C")
    assert on.wait(5) == sub("D", "E")
    assert on.noted("unacknowledged") == [{"step": "subscribe", "symbols": ["B-USD", "C-USD"]}]
    assert on.hear({"ok": True, "s": "B-USD"}) == []
    assert on.hear({"ok": True, "s": "D-USD"}) == []
    assert on.hear({"ok": True, "s": "E-USD"}) == [{"op": "next"}]


def test_a_word_about_what_was_not_sent_yet_is_no_answer() -> None:
    on, _ = opened()
    assert on.hear({"ok": True, "s": "E-USD"}) == []
    assert on.states()["E-USD"] == "pending"


def test_answers_without_a_name_are_of_what_was_sent() -> None:
    on, sent = opened(CONNECTION.replace("symbol: s, ", ""))
    while len(on.states()) > sum(state == "confirmed" for state in on.states().values()):
        sent += on.hear({"ok": True})
    assert sent == [*sub(*"ABCDE"), {"op": "next"}]


def test_a_refused_frame_that_is_halved_keeps_to_it() -> None:
    together = CONNECTION.replace("$symbol}", "$symbols}").replace("symbol: s, ", "")
    on, sent = opened(together.replace("unanswered: 2", "unanswered: 1"))
    assert sent == [{"sub": NAMES}]
    assert on.hear({"ok": False}) == [{"sub": NAMES[:2]}]
    assert on.hear({"ok": True}) == [{"sub": NAMES[2:]}]
    assert on.hear({"ok": False}) == [{"sub": NAMES[2:3]}]
    assert on.hear({"ok": True}) == [{"sub": NAMES[3:]}]
    assert on.hear({"ok": True}) == [{"op": "next"}]


def test_data_is_an_answer_too() -> None:
    on, _ = opened()
    trade = {"ch": "trade", "data": [{"s": "A-USD", "i": 1, "p": "1", "q": "1", "t": 1767323045678, "d": "buy"}]}
    assert on.hear(trade) == sub("C")


def test_without_the_limit_all_are_sent_at_once() -> None:
    assert opened(CONNECTION.replace("  limits: {unanswered: 2}\n", ""))[1] == sub(*"ABCDE")
