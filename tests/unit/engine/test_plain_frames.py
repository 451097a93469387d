"""Frames that C maps from their text: which those are, and where the general way goes on."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn import exactjson, native
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.plain_frames import PlainFrames
from k2conn.envelope import Envelope
from tests.support.plans import STREAMS, intake_of, plan_of, trade, trades

pytestmark = pytest.mark.skipif(native.FrameMapper is None, reason="k2conn/native is not built here (no C compiler)")

WALL = 1_767_323_046_000_000


def fed(*frames: str | bytes, plain: bool = True) -> tuple[FramePipeline, list[Envelope]]:
    """A connection that had one trade before these frames, which come in one read."""
    pipeline = intake_of(plan_of())
    if not plain:
        pipeline._plain = PlainFrames(pipeline.session, ())
    pipeline.receive([trades(trade(1))], 0.0, WALL)
    return pipeline, pipeline.receive(list(frames), 1.0, WALL + 1)[0]


def taken(frame: str | bytes) -> tuple[int, int, int]:
    """How far C comes with one frame."""
    pipeline, _ = fed()
    return pipeline.begin([frame], 1.0, WALL + 1, [])


def test_a_plain_frame_is_mapped_from_its_text() -> None:
    assert taken(trades(trade(2))) == (1, 0, 0)
    assert taken(trades(trade(2), trade(3))) == (1, 0, 0)


@pytest.mark.parametrize("change", [
    lambda text: text.replace('"i"', '"\\u0069"'), lambda text: text + "x", lambda text: text[:-1], lambda text: "",
    lambda text: text.replace("2", "2e0"), lambda text: text.replace("{", "[" * 20, 1), lambda text: "[1]",
    lambda text: text.replace("2", "-0"), lambda text: text.replace("2", "02"),
    lambda text: text.replace("2", "9" * 40),
    lambda text: text.replace(",", ",,", 1), lambda text: text.replace(":", "", 1), lambda text: text + " " * 70_000,
])
def test_what_is_not_plain_is_left_to_the_decoder(change: Any) -> None:
    frame = change(trades(trade(2)))
    assert taken(frame) == (0, 0, 0)
    assert [tuple(one)[:5] for one in fed(frame)[1]] == [tuple(one)[:5] for one in fed(frame, plain=False)[1]]


def test_bytes_that_may_be_no_text_are_left_to_the_decoder() -> None:
    assert taken(trades(trade(2)).encode()) == (1, 0, 0)
    assert taken(trades(trade(2)).encode()[:-1] + b',"x":"\xff"}') == (0, 0, 0)


def test_the_general_way_goes_on_at_the_item_that_is_not_plain() -> None:
    odd = trade(3)
    odd["p"] = "much"
    frame = trades(trade(2), odd, trade(4))
    pipeline, _ = fed()
    assert pipeline.begin([frame], 1.0, WALL + 1, []) == (0, 0, 1)
    pipeline, found = fed(trades(trade(2), odd, trade(4)), trades(trade(5)))
    assert [one.schema is None for one in found].count(True) == 1
    records = [one.schema.decode_plain(one.value)["trade_id"] for one in found if one.schema is not None]
    assert [one.rpartition("-")[2] for one in records] == ["2", "4", "5"]
    totals = pipeline.connector_state.ledger.totals()
    assert (totals["received"], totals["duplicates"]) == (5, 0)


SHORT = """
streams:
  trade:
    when: {ch: trade}
    each: data
    fields:
      symbol: $message.s
      trade_id: "[0]"
      price: "[1]"
      quantity: "[1]"
      timestamp: {from: "[2]", unit: ms}
      side: {value: UNKNOWN}
"""


def test_of_a_long_list_only_the_rest_is_the_general_way_s() -> None:
    """Of a list that it takes in slices."""
    rows: list[list[Any]] = [[number, "64000.10", 1767323045678] for number in range(1, 241)]
    pipeline = intake_of(plan_of(streams=SHORT))
    frames = [exactjson.encode({"ch": "trade", "s": "BTC-USD", "data": some}) for some in (rows[:1], rows[1:])]
    pipeline.receive(frames[:1], 0.0, WALL)
    rows[221][1] = "much"
    frames[1] = exactjson.encode({"ch": "trade", "s": "BTC-USD", "data": rows[1:]})
    assert pipeline.begin(frames[1:], 1.0, WALL + 1, []) == (0, 0, 220)
    pipeline = intake_of(plan_of(streams=SHORT))
    found = [one for frame in frames for one in pipeline.receive([frame], 1.0, WALL)[0]]
    assert [one.schema is None for one in found].count(True) == 1
    totals = pipeline.connector_state.ledger.totals()
    assert (totals["received"], totals["duplicates"]) == (240, 0)


def test_a_key_that_is_there_twice_has_its_last_value_as_in_a_dict() -> None:
    frame = trades(trade(2))
    item = exactjson.encode(trade(2)).decode()
    twice = frame.replace(item, item[:-1] + ',"p":"7"}')
    assert twice != frame
    assert [tuple(one)[:5] for one in fed(twice)[1]] == [tuple(one)[:5] for one in fed(twice, plain=False)[1]]


def test_repeats_are_counted_and_not_handed_on() -> None:
    pipeline, found = fed(trades(trade(2)), trades(trade(2)), trades(trade(1)), trades(trade(3)))
    assert len(found) == 2
    assert pipeline.connector_state.ledger.totals()["duplicates"] == 2


def filtering(rule: str, number: bool = False) -> tuple[FramePipeline, FramePipeline]:
    """A connection whose trades are not all records, and the same without C."""
    said = STREAMS.replace("    each: data\n", f"    each: data\n    drop_when: {rule}\n", 1)
    if number:
        said = said.replace("    fields:", "    sequence: {from: i, rule: contiguous, per: symbol}\n    fields:", 1)
    quick, slow = intake_of(plan_of(streams=said)), intake_of(plan_of(streams=said))
    slow._plain = PlainFrames(slow.session, ())
    return quick, slow


@pytest.mark.parametrize("number", [False, True])
@pytest.mark.parametrize("rule", ["{x: 'off'}", "starts_with(x, 'of')", "ends_with(x, 'ff')", "x == 'off' || y"])
def test_items_that_are_dropped_are_counted_and_no_records(rule: str, number: bool) -> None:
    both = filtering(rule, number)
    marks = ["on", "off", "", "o", "on", "off", "an officer", "off"]
    items = [trade(2 + at, x=mark) for at, mark in enumerate(marks)]
    reads = [[trades(trade(1, x="on"))], [trades(*items), trades(trade(20, x="off"), trade(21, x="on"))]]
    found = [[tuple(one)[:5] for read in reads for one in pipeline.receive(list(read), 1.0, WALL)[0]]
             for pipeline in both]
    assert found[0] == found[1]
    assert len(found[0]) == 7
    totals = [pipeline.connector_state.ledger.totals() for pipeline in both]
    assert totals[0] == totals[1]
    assert (totals[0]["filtered"], totals[0]["received"]) == (4, 7)
    assert both[0].begin([trades(trade(22, x="on"), trade(23, x="off"))], 2.0, WALL, []) == (
        (0, 0, 1) if number else (1, 0, 0))


def test_of_a_text_that_may_only_begin_or_end_so_nothing_else_counts() -> None:
    """Other texts in each item, thousands of them, are no reason to ask Python again."""
    quick, _ = filtering("starts_with(x, 'of')")
    quick.receive([trades(trade(1, x="on"))], 0.0, WALL)
    asked, mapping = [], quick.connector_state.mappings["trade"]
    own = mapping.drops
    mapping.drops = lambda item, scope: asked.append(item) or own(item, scope)  # type: ignore[method-assign]
    for number in range(2, 3000):
        quick.receive([trades(trade(number, x=f"of {number}" if number % 2 else f"{number}"))], 1.0, WALL + number)
    assert len(asked) == 2
    assert quick.connector_state.ledger.totals()["filtered"] == 1499


def test_a_text_to_begin_with_that_is_none_is_left_to_the_general_way() -> None:
    both = filtering("starts_with(x, 'of')")
    for number, odd in enumerate((7, None, [], {"a": 1}, True)):
        frames: list[str | bytes] = [trades(trade(1, x="on")), trades(trade(2 + number, x=odd))]
        found = [[tuple(one)[:5] for one in pipeline.receive(frames, 1.0, WALL)[0]] for pipeline in both]
        assert found[0] == found[1]


def test_a_full_window_turns() -> None:
    pipeline, _ = fed()
    window: DedupWindow = pipeline.connector_state.mappings["trade"].window
    for number in range(2, 2 + 2 * window.size):
        pipeline.receive([trades(trade(number))], 1.0, WALL + number)
    assert window.size <= len(window) <= 2 * window.size
    assert len(window.old) == window.size


def test_a_bug_costs_the_frame_that_met_it_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, _ = fed()
    mapping = pipeline.connector_state.mappings["trade"]
    own, calls = mapping.repeated, []

    def broken(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise ZeroDivisionError
        return own(*arguments)

    monkeypatch.setattr(mapping, "repeated", broken)
    frames: list[str | bytes] = [trades(trade(2)), trades(trade(1)), trades(trade(3)), trades(trade(1))]
    with pytest.raises(ZeroDivisionError):
        pipeline.receive(frames, 1.0, WALL + 1)
    assert [one.schema is None for one in pipeline.rescued] == [False, True, False]
    assert exactjson.decode(pipeline.rescued[1].value)["frame"] == frames[1]


def test_it_is_not_entered_again() -> None:
    pipeline, _ = fed()
    mapping, found = pipeline.connector_state.mappings["trade"], []

    def again(*arguments: Any) -> None:
        assert pipeline._plain is not None
        assert pipeline._plain.take is not None
        try:
            pipeline._plain.take([trades(trade(9))], 0, pipeline.session.scope, [])
        except RuntimeError as error:
            found.append(str(error))

    mapping.repeated = again  # type: ignore[method-assign]
    pipeline.receive([trades(trade(1))], 1.0, WALL + 1)
    assert found == ["frames are mapped one after the other, from one of them on"]
