"""What a file may say and is nevertheless warned of: each beside a file that is not, of which it is one change."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.compiler.expressions.negated_paths import negated_path
from k2conn.compiler.expressions.quoted_keys import quoted_key
from k2conn.tools.connector_tests import run_test
from tests.support.plans import intake_of, plan_of, trade, trades

GOOD = """\
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD], form: "{base}-{quote}"}
connection:
  url: wss://venue.example/ws
  before:
    - {http: POST https://venue.example/token, capture: {token: data.token}}
  steps:
    - send: {op: sub, symbols: $symbols, token: $state.token}
      for: [trade, quote]
      expect: {accepted: success, refused: {event: error}}
  heartbeat: {every: 20s, send: ping, answer: {"@": pong}}
  answer: [{when: {"@": hello}, send: hello}]
streams:
  trade:
    when: channel == 'trade'
    each: data
    fields:
      symbol: $key
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
  quote:
    when: {channel: quote}
    fields:
      symbol: s
      quote_id: i
      timestamp: {from: t, unit: ms}
      bid_price: b
      bid_quantity: bq
      ask_price: a
      ask_quantity: aq
tests:
  - name: a trade
    dialogue:
      - answered: {data: {token: abc}}
      - received: {success: true}
      - received: {channel: trade, data: {BTC-USD: {i: 1, p: "1", q: "1", t: 1767323045000, d: buy}}}
        records: [{price: "1"}]
"""

NO_TESTS = GOOD[GOOD.index("tests:"):]
WARNED = {
    "no step": ("for: [trade, quote]", "for: trade", "11:5: warning[value]: no step subscribes stream 'quote'"),
    "slow heartbeat": ("every: 20s", "every: 60s", "14:22: warning[value]: a heartbeat every 60s keeps no quiet"),
    "bare answer": ('answer: {"@": pong}', "answer: pong", '14:47: warning[value]: \'pong\' holds for messages'),
    "bare when": ('when: {"@": hello}', "when: hello", 'for the bare text hello say {"@": hello}'),
    "bare accepted": ("accepted: success", "accepted: done", "13:26: warning[value]: 'done' holds for messages"),
    "bare refused": ("refused: {event: error}", "refused: error", "'error' holds for messages that have the key"),
    "key in quotes": ("channel == 'trade'", 'channel == "trade"', '"trade" is a key in JMESPath, not a text'),
    "negated beginning": ("channel == 'trade'", "channel == 'trade' && !data.old",
                          "'!data.old' is null whatever the message is, for ! takes the first key only: say '!("),
    "key of a list": ("data: {BTC-USD: {", "data: [{", "`each: data` gives a list, so $key is nothing"),
    "key without each": ("    each: data\n", "", "the stream has no `each`, so $key is nothing"),
    "key of a projection": ("each: data", "each: data[*]", "`each: data[*]` gives a list, so $key is nothing"),
    "no tests": (NO_TESTS, "", "1:1: warning[missing]: the file has no tests"),
    "beginning": ("  steps:\n", "  initial: {since: $now_ms}\n  steps:\n",
                  "10:20: warning[value]: every connection begins with a $state.since of its own"),
    "answer to nobody": ("      - answered: {data: {token: abc}}\n", "      - answered: {data: {token: abc}}\n" * 2,
                         "nobody makes this call: the file makes 1 before it connects"),
}


def warnings(text: str) -> tuple[str, ...]:
    plan, problems = check_text("venue.yaml", text, Path())
    assert plan is not None, problems
    return plan.warnings


def test_the_file_itself_is_not_warned_of() -> None:
    assert warnings(GOOD) == ()


@pytest.mark.parametrize("name", WARNED)
def test_an_oversight_is_warned_of_at_its_place(name: str) -> None:
    old, new, wanted = WARNED[name]
    if name == "key of a list":
        new, changed = "data: [{", GOOD.replace("d: buy}}}", "d: buy}]}")
    else:
        changed = GOOD
    assert changed.count(old) == 1
    found = warnings(changed.replace(old, new))
    assert any(wanted in one for one in found), found
    assert name == "no tests" or len(found) == 1, found  # without tests nothing shows that `success` is a key


@pytest.mark.parametrize(("text", "path"), [
    ("!a.b", "a.b"), ("x && ! a[0].b || y", "a[0].b"), ('!"a.b".c', '"a.b".c'), ("!$message.x", "$message.x"),
    ("a[?!b.c]", "b.c"), ("!(a.b)", None), ("!a", None), ("a != b.c", None), ("!a[0]", None), ("x == '!a.b'", None),
    ("!starts_with(a.b, 'c')", None), ("!contains(a, b) && c.d", None), ("x == `\"!a.b\"`", None),
])
def test_a_negation_that_ends_too_early_is_told(text: str, path: str | None) -> None:
    assert negated_path(text) == path


@pytest.mark.parametrize(("text", "key"), [
    ('a == "b"', "b"), ('a != "b"', "b"), ('"a b" == \'c\'', None), ('a == "b".c', None), ("a == 'x == \"b\"'", None),
    ('a == `"b"`', None), ('starts_with(topic, "trade")', "trade"), ('contains(topic, \'"\')', None),
    ('a[?b == "c"]', "c"), ('"a" == b', None), ('join("a", b)', None), ("a == 'it\\'s' && b == \"c\"", "c"),
])
def test_a_key_in_quotes_is_told_from_a_text(text: str, key: str | None) -> None:
    assert quoted_key(text) == key


@pytest.mark.parametrize("time", ["1767323045", '"1767323045"', "1767323045.5", "0"])
def test_a_time_that_lands_in_1970_is_a_problem_of_the_test(time: str) -> None:
    plan, problems = check_text("venue.yaml", GOOD.replace("t: 1767323045000", f"t: {time}"), Path())
    assert plan is not None, problems
    differences = [str(one) for one in run_test(plan, plan.tests[0])]
    assert any("bad-time" in one for one in differences), differences


@pytest.mark.parametrize("time", [1767323045, "1767323045", 1_767_323, 0])
def test_a_time_that_lands_in_1970_is_a_dead_letter(time: object) -> None:
    pipeline = intake_of(plan_of())
    found, _ = pipeline.receive([trades(trade(1), trade(2, t=time), trade(3))], 0.0, 1_767_323_046_000_000)
    records, letters = ([one for one in found if one.dead is dead] for dead in (False, True))
    assert len(records) == 2
    error = exactjson.decode(letters[0].value)
    assert (error["reason"], error["field"]) == ("bad-time", "timestamp")
    assert "is in the year 1970 by the declared unit, which is too fine" in exactjson.spell(error)


@pytest.mark.parametrize("time", [123456785, "123456785", 1])
def test_a_time_of_1970_that_no_unit_makes_of_one_of_today_is_what_it_says(time: object) -> None:
    """Examples of documentation have such times."""
    pipeline = intake_of(plan_of())
    (found,), _ = pipeline.receive([trades(trade(1, t=time))], 0.0, 1_767_323_046_000_000)
    assert found.schema is not None
    assert found.schema.decode_plain(found.value)["timestamp"] == int(str(time)) * 1000


@pytest.mark.parametrize(("framing", "sent", "wanted"), [
    ("lines", r"SUB {$symbols}\n", r"warning[value]: '\n' ends a frame, and stands behind each that is sent"),
    ("lines", "SUB {$symbols}", None),
    ("{delimiter: '|'}", "SUB {$symbols}|", "warning[value]: '|' ends a frame"),
    ("{delimiter: '|'}", r"SUB {$symbols}\n", None),
])
def test_a_text_that_ends_its_frame_itself(framing: str, sent: str, wanted: str | None) -> None:
    text = GOOD[: GOOD.index("connection:\n")] + f"""connection:
  url: tcps://venue.example:1
  steps: [{{send: "{sent}", for: [trade, quote], expect: first-data}}]
  framing: {framing}
""" + GOOD[GOOD.index("streams:"):].replace("      - answered: {data: {token: abc}}\n", "")
    found = [one for one in warnings(text) if "ends a frame" in one]
    assert len(found) == (wanted is not None), found
    assert wanted is None or wanted in found[0], found
