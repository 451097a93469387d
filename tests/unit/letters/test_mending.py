"""Dead letters mapped again: their items only, as they were received, with what had been captured."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.engine.accounting.dead_letter import STATE_LIMIT, captured_state
from k2conn.engine.accounting.frame_letters import MOST
from k2conn.letters.letter import BadLetter, Letter, frames_of, letter
from k2conn.letters.marks import Marks
from k2conn.letters.mending import Mended, Mender
from k2conn.letters.showing import marked
from k2conn.plan import Plan
from tests.support.plans import STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades

WALL = 1_767_323_046_000_000
BROKEN = STREAMS.replace("price: p", "price: px")
"""The field of another venue: no item of this one has it."""


def dead(frame: str | bytes, plan: Plan, state: dict[str, Any] | None = None) -> list[Letter]:
    """The letters that a frame gives."""
    pipeline = intake_of(plan)
    pipeline.session.scope.state.update(state or {})
    envelopes, _ = pipeline.receive([frame], 0.0, WALL)
    return [letter(one.value, str(number)) for number, one in enumerate(one for one in envelopes if one.dead)]


def mended(letters: list[Letter], plan: Plan | None = None) -> Mended:
    (frame,) = frames_of(letters)
    return Mender(plan or plan_of()).mend(frame)


def records(found: Mended) -> list[dict[str, Any]]:
    return [one.schema.decode_plain(one.value) for one in found.envelopes if one.schema is not None]


def test_a_mended_file_gives_the_records_that_would_have_been_made() -> None:
    frame = trades(trade(1), trade(2))
    letters = dead(frame, plan_of(streams=BROKEN))
    assert len(letters) == 2
    found = mended(letters)
    assert not found.still
    then, _ = intake_of(plan_of()).receive([frame], 0.0, WALL)
    assert [one.value for one in found.envelopes] == [one.value for one in then]  # ids and times, too


def test_only_what_was_dead_is_mapped() -> None:
    """The others of the frame were published when it came."""
    frame = trades(trade(1), trade(2, p=None, P="1.5"), trade(3), trade(4, q=None, Q="2"))
    letters = dead(frame, plan_of())
    assert len(letters) == 2
    lenient = STREAMS.replace("price: p", "price: p || P").replace("quantity: q", "quantity: q || Q")
    assert [one["trade_id"] for one in records(mended(letters, plan_of(streams=lenient)))] == ["VENUE-2", "VENUE-4"]
    half = STREAMS.replace("quantity: q", "quantity: q || Q")
    found = mended(letters, plan_of(streams=half))
    assert [one["trade_id"] for one in records(found)] == ["VENUE-4"]
    assert [one["field"] for one in found.still] == ["price"]


def test_where_a_level_found_no_items_only_what_is_below_it_is_mapped() -> None:
    frame = exactjson.encode({"ch": "trade", "data": [{"rows": [trade(1)]}, {"list": [trade(2)]}]}).decode()
    levels = STREAMS.replace("each: data", "each: [data, rows]")
    (one,) = dead(frame, plan_of(streams=levels))
    assert (one.field, one.said["reason"]) == ("each", "missing-field")
    found = mended([one], plan_of(streams=levels.replace("rows]", "rows || list]")))
    assert [record["trade_id"] for record in records(found)] == ["VENUE-2"]
    then, _ = intake_of(plan_of(streams=levels.replace("rows]", "rows || list]"))).receive([frame], 0.0, WALL)
    assert found.envelopes[0].value == then[1].value
    assert mended([one], plan_of(streams=levels)).still


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_an_outer_level_of_several_is_mended_by_itself(depth: int) -> None:
    """However far the items are below the place in which a level had found nothing."""
    keys = ["rows", "books", "list"]
    lost = [*keys[:depth], "other", *keys[depth + 1 :]]

    def nested(one: Any, names: list[str]) -> Any:
        for name in reversed(names):
            one = {name: [one]}
        return one

    frame = exactjson.encode({"ch": "trade", "data": [nested(trade(1), keys), nested(trade(2), lost)]}).decode()
    levels = STREAMS.replace("each: data", f"each: [data, {', '.join(keys)}]")
    (one,) = dead(frame, plan_of(streams=levels))
    assert one.field == "each"
    expressions = [f"{key} || other" if at == depth else key for at, key in enumerate(keys)]
    mend = STREAMS.replace("each: data", f"each: [data, {', '.join(expressions)}]")
    found = mended([one], plan_of(streams=mend))
    assert [record["trade_id"] for record in records(found)] == ["VENUE-2"]


def test_where_another_level_was_mended_all_of_the_message_is_mapped_with_the_ids_that_it_had() -> None:
    frame = exactjson.encode({"ch": "trade", "data": [{"rows": [trade(1)]}, {"in": {"rows": [trade(2)]}}]}).decode()
    levels = STREAMS.replace("each: data", "each: [data, rows]")
    (one,) = dead(frame, plan_of(streams=levels))
    deeper = levels.replace("[data, rows]", '["data[].[@, in][]", "rows || `[]`"]')
    found = mended([one], plan_of(streams=deeper))
    assert [record["trade_id"] for record in records(found)] == ["VENUE-1", "VENUE-2"]
    then, _ = intake_of(plan_of(streams=levels)).receive([frame], 0.0, WALL)
    assert found.envelopes[0].value == then[0].value


def test_a_binary_frame_and_what_was_captured() -> None:
    streams = STREAMS.replace("symbol: s\n      trade", "symbol: {from: c, look_up: $state.channels}\n      trade")
    connection = SUBSCRIBE + "  capture: [{into: channels, key: c, value: s, when: {op: known}}]\n"
    plan = plan_of(connection, streams)
    state = {"channels": {"17": "BTC-USD", "18": "ETH-USD"}}
    frame = exactjson.encode({"ch": "trade", "data": [trade(1, c="17", p=None, P="1.5")]})
    letters = dead(frame, plan, state)
    assert letters[0].said["state"] == {"channels": {"17": "BTC-USD"}}
    assert base64.b64decode(letters[0].said["frame_base64"]) == frame
    found = mended(letters, plan_of(connection, streams.replace("price: p", "price: P")))
    assert [one["symbol"] for one in records(found)] == ["BTCUSD"]


def test_state_that_does_not_fit_is_not_half_there() -> None:
    assert captured_state({}, "x") == {}
    cut = {"state": None, "state_truncated": True}
    assert captured_state({"token": "x" * STATE_LIMIT}, "x") == cut
    assert captured_state({"rows": {str(number): 1 for number in range(2000)}}, "x") == cut


def test_a_frame_that_was_no_message_is_one_now() -> None:
    letters = dead('{"ch": "trade"', plan_of())
    assert letters[0].reason == "malformed-frame"
    assert mended(letters).still  # it is none with this file either


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame": None}, "not here"),
        ({"frame_truncated": True}, "beginning of the frame only"),
        ({"state_truncated": True}, "did not fit"),
        ({"count": 5}, "more dead items than letters"),
        ({"row": 5}, "row of a file"),
    ],
)
def test_what_cannot_be_mapped_again_is_said(change: dict[str, Any], why: str) -> None:
    (one,) = dead(trades(trade(1, p=None)), plan_of())
    assert why in mended([letter(exactjson.encode(one.said | change), "x")]).why_not


def test_a_letter_of_an_older_version_does_not_say_which_item() -> None:
    (one,) = dead(trades(trade(1, p=None), trade(2)), plan_of())
    said = {name: value for name, value in one.said.items() if name != "item"}
    assert "older version" in mended([letter(exactjson.encode(said), "x")]).why_not


def test_frames_with_more_items_than_letters_are_left_out() -> None:
    letters = dead(trades(*(trade(number, p=None) for number in range(MOST + 5))), plan_of())
    assert "more dead items" in mended(letters).why_not


def test_a_letter_that_was_delivered_twice_is_one() -> None:
    letters = dead(trades(trade(1)), plan_of(streams=BROKEN))
    assert len(records(mended(letters * 2))) == 1


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"reason": 5}', b'{"reason": "x"}', b"\xff"])
def test_what_is_no_letter(raw: bytes) -> None:
    with pytest.raises(BadLetter):
        letter(raw, "here")


@pytest.mark.parametrize(
    "name", ["received_at", "frame", "frame_base64", "item", "state", "field", "expression", "value"]
)
@pytest.mark.parametrize("value", [5, [], {"a": 1}, "x" * 5000, None, True, "\x1b[31m"])
def test_whatever_a_letter_says_nothing_breaks(name: str, value: Any) -> None:
    """Anybody may have written into the topic."""
    (one,) = dead(trades(trade(1, p=None)), plan_of())
    found = letter(exactjson.encode(one.said | {name: value}), "x")
    for frame in frames_of([found]):
        Mender(plan_of()).mend(frame)
        assert marked(frame, found).piece.isprintable()


def test_marks_are_kept(tmp_path: Path) -> None:
    (frame,) = frames_of(dead(trades(trade(1, p=None)), plan_of()))
    marks = Marks(tmp_path / "state", "file data")
    assert not marks.has(frame)
    marks.add([frame])
    with marks.path.open("ab") as file:
        file.write(b'{"connector": "ven')
    assert Marks(tmp_path / "state", "file data").has(frame)
    assert not Marks(tmp_path / "state", "kafka other").has(frame)


def test_the_place_is_marked_in_the_frame() -> None:
    frame = exactjson.encode({"ch": "trade", "data": [trade(1), trade(2, p="6x4")]}).decode()
    letters = dead(frame, plan_of())
    found = marked(frames_of(letters)[0], letters[0])
    at = found.marks.index("^")
    assert found.piece[at : at + found.marks.count("^")] == '"6x4"'
