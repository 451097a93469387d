"""Quotes of changes: what clears a field, and which items are records."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.engine.frame_pipeline import FramePipeline
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of

FULL = {"b": "10", "B": "1", "a": "11", "A": "2"}
ABSENT = {name: f"{{from: {key}, absent: 0}}" for name, key in
          (("bid_price", "b"), ("bid_quantity", "B"), ("ask_price", "a"), ("ask_quantity", "A"))}


def text_of(carry: str, more: str = "", absent: bool = True) -> str:
    text = STREAMS.replace("    when: {ch: quote}\n", f"    when: {{ch: quote}}\n    carry: {carry}\n{more}")
    for name, said in ABSENT.items() if absent else ():
        text = text.replace(f"      {name}: {said[7]}\n", f"      {name}: {said}\n")
    return text


def quotes(carry: str, more: str = "") -> FramePipeline:
    return intake_of(plan_of(SUBSCRIBE, text_of(carry, more)), window=0)


def delta(number: int, **fields: Any) -> str:
    said = {"ch": "quote", "s": "BTC-USD", "i": number, "t": 1767323045678}
    return exactjson.encode(said | fields).decode()


def feed(pipeline: FramePipeline, *frames: str) -> tuple[list[str], list[str]]:
    """The quotes as `bid_price bid_quantity ask_price ask_quantity`, and the reasons of dead letters."""
    records, dead = [], []
    for envelope in pipeline.receive(list(frames), 0.0, 1)[0]:
        if envelope.schema is None:
            dead.append(exactjson.decode(envelope.value)["reason"])
        else:
            record = envelope.schema.decode_plain(envelope.value)
            records.append(" ".join(record[name] for name in ABSENT))
    return records, dead


def test_null_keeps_a_value_where_nothing_else_is_said() -> None:
    for carry in ("{per: symbol}", "{per: symbol, nulls: keep}"):
        assert feed(quotes(carry), delta(1, **FULL), delta(2, b=None)) == (["10 1 11 2", "10 1 11 2"], [])


def test_null_clears_and_nothing_keeps() -> None:
    records, dead = feed(
        quotes("{per: symbol, nulls: clear}"),
        delta(1, **FULL), delta(2, b=None, B=None), delta(3, A="3"), delta(4, b="9", B="1"),
    )
    assert dead == []
    assert records == ["10 1 11 2", "0 0 11 2", "0 0 11 3", "9 1 11 3"]


def test_a_rule_clears_a_side() -> None:
    carry = """{per: symbol, clear: [{when: {B: "0"}, fields: [bid_price, bid_quantity]},
      {when: "a == `[]`", fields: [ask_price, ask_quantity]}]}"""
    pipeline = quotes(carry, "    empty: keep\n")
    records, dead = feed(pipeline, delta(1, **FULL), delta(2, b="10", B="0"), delta(3, a=[]), delta(4, **FULL))
    assert dead == []
    assert records == ["10 1 11 2", "0 0 11 2", "0 0 0 0", "10 1 11 2"]


def test_what_changes_nothing_is_no_record() -> None:
    pipeline = quotes("{per: symbol, publish: changed}")
    records, dead = feed(
        pipeline, delta(1, **FULL), delta(2), delta(3, b="10.0"), delta(4, b="10.5"), delta(5, s="ETH-USD", **FULL),
        delta(6, b="10.5"), delta(7, b="10"),
    )
    assert dead == []
    assert records == ["10 1 11 2", "10.5 1 11 2", "10 1 11 2", "10 1 11 2"]
    assert pipeline.connector_state.ledger.totals()["filtered"] == 3


def test_a_change_that_became_no_record_is_told_by_the_next_item() -> None:
    records, dead = feed(
        quotes("{per: symbol, publish: changed}"), delta(1, **FULL), delta(2, b="9", t="?"), delta(3), delta(4)
    )
    assert dead == ["bad-time"]
    assert records == ["10 1 11 2", "9 1 11 2"]


def test_a_skipped_snapshot_is_not_the_latest_record() -> None:
    more = "    snapshot: {when: {kind: snapshot}, action: skip}\n"
    pipeline = quotes("{per: symbol, begin: {kind: snapshot}, publish: changed}", more)
    first, again = delta(1, kind="snapshot", **FULL), delta(4, kind="snapshot", **FULL)
    records, _ = feed(pipeline, first, delta(2), delta(3), again)
    assert records == ["10 1 11 2"]


def test_a_book_that_is_empty_and_as_before_again() -> None:
    pipeline = quotes("{per: symbol, nulls: clear, publish: changed}", "    empty: drop\n")
    nothing = dict.fromkeys(FULL)
    records, dead = feed(pipeline, delta(1, **FULL), delta(2, **nothing), delta(3, **FULL), delta(4, b="9"))
    assert (records, dead) == (["10 1 11 2", "9 1 11 2"], [])
    assert pipeline.connector_state.ledger.totals()["filtered"] == 2


def test_another_connection_publishes_what_it_finds() -> None:
    carry = "{per: symbol, publish: changed}"
    assert feed(quotes(carry), delta(1, **FULL)) == feed(quotes(carry), delta(1, **FULL)) == (["10 1 11 2"], [])


def test_numbers_of_items_that_change_nothing_are_no_gap() -> None:
    more = "    sequence: {from: i, rule: contiguous, per: symbol}\n"
    pipeline = quotes("{per: symbol, publish: changed}", more)
    feed(pipeline, delta(1, **FULL), delta(2), delta(3), delta(4, b="9"))
    gaps = pipeline.connector_state.mappings["quote"].gaps
    assert gaps is not None
    assert list(gaps.due(10**15)) == []


@pytest.mark.parametrize(
    ("carry", "told"),
    [
        ("{per: symbol, nulls: clear}", "nothing stands in bid_price when it is cleared: say `absent` there"),
        ("{per: symbol, clear: [{when: {B: 0}, fields: [ask_price]}]}", "nothing stands in ask_price"),
        ("{per: symbol, clear: [{when: {B: 0}, fields: [ask_prize]}]}",
         "'ask_prize' is no carried field; did you mean 'ask_price'?"),
        ("{per: symbol, clear: [{when: {B: 0}, fields: [timestamp]}]}", "'timestamp' is no carried field"),
        ("{per: symbol, clear: [{fields: [ask_price]}]}", "'when' is missing"),
        ("{per: symbol, publish: some}", "some"),
    ],
)
def test_what_cannot_be_meant_is_refused(carry: str, told: str) -> None:
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text_of(carry, absent=False), ROOT)
    assert any(told in str(problem) for problem in problems), problems


def test_null_is_told_from_nothing_by_plain_paths_only() -> None:
    text = text_of("{per: symbol, nulls: clear}").replace("{from: b, absent: 0}", "{from: b || c, absent: 0}")
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text, ROOT)
    assert [problem.text for problem in problems] == [
        "only a plain path tells null from nothing, and bid_price has none: say `clear` with a condition"
    ]
