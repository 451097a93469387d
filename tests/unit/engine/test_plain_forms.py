"""Frames that C maps from their text in all the forms that it knows: the same comes of them without it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from k2conn import exactjson, native
from k2conn.codecs.encoding import encoder
from k2conn.engine.plain_frames import PlainFrames
from k2conn.plan import Plan
from tests.fuzz.targets.plain_frames import state
from tests.support.plans import SUBSCRIBE, intake_of, plan_of, trade, trades

pytestmark = pytest.mark.skipif(native.FrameMapper is None, reason="k2conn/native is not built here (no C compiler)")

WALL = 1_767_323_046_000_000

FORMS = """
streams:
  trade:
    when: {{ch: trade}}
    each: "{each}"
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {{from: t, unit: ms}}
      side: {{value: UNKNOWN}}
"""


def both_ways(plan: Plan, *frames: Any) -> list[tuple[int, int, int]]:
    """How far C comes with each frame, after one round of them all; what comes of them is the same without it."""
    texts = [exactjson.encode(one) for one in frames]
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    for number in range(2):
        sent: list[str | bytes] = [text.replace(b"%number", str(10 + number).encode()) for text in texts]
        found = [[tuple(one)[:5] for one in pipeline.receive(sent, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
        assert state(quick) == state(slow)
    return [quick.begin([text.replace(b"%number", b"12")], 2.0, WALL, []) for text in texts]


def row(number: int, **more: Any) -> dict[str, Any]:
    """A trade, with another id in each round."""
    return {**trade(1), "i": f"{number}-%number", **more}


@pytest.mark.parametrize(("each", "message"), [
    ("data[]", {"data": [row(1), row(2)]}),
    ("events[].data[]", {"events": [{"data": [row(1)]}, {"data": []}, {"data": [row(2), row(3)]}]}),
    ("data || [@]", {"data": [row(1)]}), ("data || [@]", {"data": [], **row(1)}), ("data || [@]", row(1)),
    ("not_null(data, [@])", {"data": [row(1)]}), ("not_null(data, [@])", row(1)), ("not_null(data, [@])", {"data": []}),
    ("data || `[]`", {"data": [row(1)]}), ("data || `[]`", {"x": 1}), ("[data]", {"data": row(1)}),
    ("[a, b]", {"a": row(1), "b": row(2)}), ("kind == 'one' && [data] || data", {"kind": "one", "data": row(1)}),
    ("kind == 'one' && [data] || data", {"kind": "many", "data": [row(1), row(2)]}), ("a || b || [@]", {"b": [row(3)]}),
])
def test_items_are_found_in_many_forms(each: str, message: dict[str, Any]) -> None:
    plan = plan_of(streams=FORMS.format(each=each))
    assert both_ways(plan, {"ch": "trade", "data": [row(9)], "a": row(9), "b": row(9), "events": [{"data": [row(9)]}],
                            **row(9)}, {"ch": "trade", **message})[1] == (1, 0, 0)


@pytest.mark.parametrize(("each", "message"), [
    ("data[]", {"data": [[row(1)], row(2)]}), ("data[]", {"data": [None, row(2)]}), ("data[]", {"data": {"a": 1}}),
    ("data[]", {}), ("events[].data[]", {"events": [{"data": [row(1)]}, {}]}),
    ("events[].data[]", {"events": [{"data": row(1)}]}), ("events[].data[]", {"events": [[{"data": [row(1)]}]]}),
    ("events[].data[]", {"events": [{"data": [row(1), None]}]}), ("[a, b]", {"a": row(1)}), ("[a, b]", {"a": None}),
    ("[data]", {"data": [row(1)]}), ("data || [@]", {"data": 7, **row(1)}), ("kind && [data]", {"data": row(1)}),
])
def test_what_jmespath_leaves_out_or_takes_apart_is_the_general_way_s(each: str, message: dict[str, Any]) -> None:
    plan = plan_of(streams=FORMS.format(each=each))
    first = {"ch": "trade", "data": [row(9)], "a": row(9), "b": row(9), "events": [{"data": [row(9)]}]}
    assert both_ways(plan, first, {"ch": "trade", **message})[1] != (1, 0, 0)


@pytest.mark.parametrize(("fields", "change"), [
    ("trade_id: join('-', [i, to_string(t)])", {}), ('trade_id: {text: "{i}-{t}"}', {}),
    ("timestamp: $received_at", {}), ("timestamp: {from: t, unit: ms, absent: $received_at}", {"t": None}),
    ("timestamp: {from: t, unit: ms, absent: $received_at}", {"t": ""}),
    ("timestamp: {from: t, unit: ms, absent: $received_at}", {}),
    ("timestamp: {from: t, unit: iso8601, zone: Europe/Berlin}", {"t": "2026-01-02T03:04:06.5"}),
    ("side: {from: d, map: {buy: BUY}}", {"d": "neither"}),
    ("price: {from: p, on_overflow: round}", {"p": "1.00000000000005"}),
    ("quantity: {from: q, scale: {from: $message.scale}}", {}),
])
def test_a_value_that_python_reads_costs_its_reader_and_not_the_way(fields: str, change: dict[str, Any]) -> None:
    name = fields.partition(":")[0]
    said = [line for line in FORMS.format(each="data").splitlines() if not line.strip().startswith(name)]
    plan = plan_of(streams="\n".join([*said, "      " + fields]))
    message = {"ch": "trade", "scale": 100, "data": [row(1, **change), row(2, **change)]}
    assert both_ways(plan, message, message | {"data": [row(3, **change)]}) == [(1, 0, 0)] * 2


def test_the_first_batch_of_a_symbol_is_the_general_way_s() -> None:
    plan = plan_of(streams=FORMS.format(each="data").replace("    each", "    first_batch: tag\n    each"))
    message = {"ch": "trade", "data": [row(1), row(2)]}
    pipeline = intake_of(plan)
    assert pipeline.begin([exactjson.encode(message)], 1.0, WALL, []) == (0, 0, 0)
    assert both_ways(plan, message) == [(1, 0, 0)]


CARRY = """
streams:
  quote:
    when: {{ch: quote}}
    carry: {{per: symbol{rules}}}
    identity: [timestamp, bid_price, bid_quantity, ask_price, ask_quantity]
    fields:
      symbol: s
      timestamp: {{from: t, unit: ms}}
      bid_price: {bid}
      bid_quantity: {{from: B, absent: 0}}
      ask_price: {{from: a, absent: 0}}
      ask_quantity: {{from: A, absent: 0}}
"""


@pytest.mark.parametrize("bid", ["{from: b, absent: 0}", "{from: \"l[?[1] != '0'] | [0][0]\", absent: 0}"])
@pytest.mark.parametrize(("rules", "far"), [
    ("", 1), (", begin: {type: all}", 1), (", publish: changed", 1), (", begin: {type: all}, publish: changed", 1),
])
def test_fields_keep_their_last_value(rules: str, far: int, bid: str) -> None:
    plan = plan_of(SUBSCRIBE.replace("for: trade", "for: quote"), CARRY.format(rules=rules, bid=bid))
    head = {"ch": "quote", "s": "BTC-USD", "t": 1767323045678}
    frames = [
        {**head, "type": "all", "b": "1", "B": "2", "a": "3", "A": "4", "l": [["1", "2"]]}, {**head, "b": "1.5"},
        {**head, "a": 7, "t": 1767323045679}, {**head, "b": None, "A": "", "l": [["1", "0"], ["5", "6"]]}, head,
        {**head, "b": "much"}, {**head, "B": "9", "l": "none"}, {**head, "s": "ETH-USD", "b": 1},
        {**head, "B": Decimal("1E-7")},
    ]
    found = both_ways(plan, *frames)
    assert found[2][0] == far


CAPTURED = """
streams:
  trade:
    when: {"[0]": $state.pair_of}
    each: "[1] == 'te' && [[2]] || [1]"
    fields:
      symbol: {from: "$message[0]", look_up: $state.pair_of}
      trade_id: "[0]"
      price: "[1]"
      quantity: "[1]"
      timestamp: {from: "[2]", unit: ms}
      side: {value: UNKNOWN}
"""


def test_what_was_captured_is_asked_for_anew_when_there_is_more_of_it() -> None:
    capture = "  capture: [{when: {event: is}, into: pair_of, key: id, value: pair}]\n"
    said = SUBSCRIBE.replace("  steps:", capture + "  steps:")
    plan = plan_of(said, CAPTURED)
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    told = [{"event": "is", "id": 7, "pair": "BTC-USD"}, [7, "te", [1, "1.5", 1767323045678]],
            [7, "te", [2, "1.5", 1767323045678]], [8, "te", [3, "1.5", 1767323045678]],
            {"event": "is", "id": 8, "pair": "ETH-USD"}, [8, [[4, "1.5", 1767323045678], [5, 2, 1767323045678]]],
            {"event": "is", "id": 7, "pair": "ETH-USD"}, [7, "te", [6, "1.5", 1767323045678]]]
    for one in told:
        read: list[str | bytes] = [exactjson.encode(one)]
        found = [[tuple(one)[:5] for one in pipeline.receive(read, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
        assert state(quick) == state(slow)
    assert quick.begin([exactjson.encode([7, "te", [9, "1.5", 1767323045678]])], 2.0, WALL, []) == (1, 0, 0)
    assert quick.connector_state.ledger.totals()["received"] == 6


@pytest.mark.parametrize(("each", "frames"), [
    ("@[]", [[trade(1)], [trade(2), trade(3)]]), ("[@][]", [[trade(1)], trade(2), [trade(3), None, trade(4)], [], 7]),
    ("data || [@]", [{"data": [trade(1), trade(2)]}, trade(3), {"data": [], **trade(4)}, {"data": 1, **trade(5)}]),
])
def test_frames_have_several_messages_in_more_than_one_form(each: str, frames: list[Any]) -> None:
    said = SUBSCRIBE.replace("  steps:", f'  each: "{each}"\n  steps:')
    plan = plan_of(said, FORMS.format(each="x").replace('    each: "x"\n', "").replace("{ch: trade}", "{i: $present}"))
    found = both_ways(plan, *frames)
    assert each == "@[]" or found[1] == (1, 0, 0)


def test_rules_ask_for_the_kind_of_a_value() -> None:
    rule = "type(x) == 'array' && y != `{}` && type(z) != 'object'"
    plan = plan_of(streams=FORMS.format(each="data").replace("{ch: trade}", f'"{rule}"'))
    data = {"data": [row(1)]}
    good, bad = {"x": [1], "y": {"a": 1}, "z": 1, **data}, {"x": "text", "y": 1, **data}
    found = both_ways(plan, good, bad, {**good, "y": {}}, {**good, "z": {}}, {**good, "y": None}, {**good, "x": []})
    assert [one[0] for one in found] == [1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("codec", ["gzip", "zlib", "deflate"])
def test_packed_frames_are_unpacked_first(codec: str) -> None:
    plan = plan_of(SUBSCRIBE.replace("  steps:", f"  codec: {{text: json, binary: {codec}}}\n  steps:"))
    pack = encoder(plan.connections[0].codec)
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    reads: list[list[str | bytes]] = [[pack(trades(trade(1)).encode())], [pack(trades(trade(2)).encode()), b"none"],
                                      [trades(trade(3)), pack(trades(trade(4, x="é")).encode())]]
    for read in reads:
        found = [[tuple(one)[:5] for one in pipeline.receive(read, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
        assert state(quick) == state(slow)
    assert quick.begin([pack(trades(trade(5)).encode())], 2.0, WALL, []) == (1, 0, 0)


def test_a_packed_frame_is_as_large_as_it_may_be_whatever_the_text_is_without_its_end() -> None:
    plan = plan_of(SUBSCRIBE.replace("  steps:", "  codec: {text: json, binary: gzip, limit: 1000 B}\n  steps:"))
    pack = encoder(plan.connections[0].codec)
    frames: list[str | bytes] = [pack(trades(trade(number)).ljust(size).encode())
                                 for number, size in ((1, 0), (2, 1000), (3, 1001), (4, 70_000))]
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    found = [[tuple(one)[:5] for one in pipeline.receive(frames, 1.0, WALL)[0]] for pipeline in (quick, slow)]
    assert found[0] == found[1]
    assert state(quick) == state(slow)


def test_text_frames_are_refused_where_there_are_to_be_none() -> None:
    plan = plan_of(SUBSCRIBE.replace("  steps:", "  codec: {binary: gzip}\n  steps:"))
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    for number in (1, 2):
        read: list[str | bytes] = [trades(trade(number)), encoder(plan.connections[0].codec)(trades(trade(7)).encode())]
        found = [[tuple(one)[:5] for one in pipeline.receive(read, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
        assert state(quick) == state(slow)


def test_numbers_that_c_does_not_read_are_the_decoder_s() -> None:
    plan = plan_of(streams=FORMS.format(each="data"))
    much = '{"ch": "trade", "data": [%s]}'
    item = exactjson.encode(trade(1)).decode()[:-1]
    frames = [much % f'{item[:-1]}", "x": {number}}}' if item.endswith('"') else much % f'{item}, "x": {number}}}'
              for number in ("7.9e-7", "1E+5", "12345678901234567890123", "-9223372036854775809", "1.5e400", "1" * 41)]
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    for at, frame in enumerate(frames):
        read: list[str | bytes] = [frame.replace('"i":1', f'"i":{at + 2}')]
        found = [[tuple(one)[:5] for one in pipeline.receive(read, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
    assert quick.begin([frames[0].replace('"i":1', '"i":99')], 2.0, WALL, []) == (1, 0, 0)


def test_a_number_may_be_a_text_of_digits() -> None:
    rule = "    sequence: {from: i, rule: contiguous, per: symbol}\n    fields:"
    plan = plan_of(streams=FORMS.format(each="data").replace("    fields:", rule))
    quick, slow = intake_of(plan), intake_of(plan)
    slow._plain = PlainFrames(slow.session, ())
    for number in ("1", "2", "03", "4", "7", "8", "-9", "", "9" * 18, "9" * 19):
        read: list[str | bytes] = [exactjson.encode({"ch": "trade", "data": [{**trade(1), "i": number}]})]
        found = [[tuple(one)[:5] for one in pipeline.receive(read, 1.0, WALL)[0]] for pipeline in (quick, slow)]
        assert found[0] == found[1]
        assert state(quick) == state(slow)
    pipeline = intake_of(plan)
    for number in (1, 2):
        pipeline.receive([exactjson.encode({"ch": "trade", "data": [{**trade(1), "i": str(number)}]})], 1.0, WALL)
    third: list[str | bytes] = [exactjson.encode({"ch": "trade", "data": [{**trade(1), "i": "3"}]})]
    assert pipeline.begin(third, 1.0, WALL, []) == (1, 0, 0)
