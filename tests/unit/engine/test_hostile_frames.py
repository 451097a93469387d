"""What one frame may cost, whatever is in it: dead letters, bytes, items, values, names."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.codecs.component import MOST_VALUES
from k2conn.codecs.decoding import decoder
from k2conn.engine.accounting.dead_letter import RAW_LIMIT, shortened
from k2conn.engine.accounting.frame_letters import MOST, MOST_BYTES
from k2conn.engine.accounting.ledger import OTHER, Ledger
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.captures import LARGEST, MOST_ROWS, Captures
from k2conn.engine.conversation.session import MOST_ANSWERS
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.gaps.gap_tracker import GRACE_US, MOST_WAITING, GapTracker
from k2conn.engine.mapping.mapped_record import MOST_MEMBERS
from k2conn.engine.mapping.slices import AT_ONCE, MOST_ITEMS, Abandoned
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding, Sequence
from tests.support.in_c import both_ways
from tests.support.plans import STREAMS, SUBSCRIBE, WORLD, Script, intake_of, plan_of, trade, trades

WALL = 1_767_323_046_000_000

NUMBERED = STREAMS.replace("each: data", "each: data\n    sequence: {from: i, rule: contiguous, per: symbol}")

in_c = both_ways("Mapper")


def letters_of(envelopes: list[Envelope]) -> list[dict[str, Any]]:
    return [exactjson.decode(one.value) for one in envelopes if one.dead]


def settle(envelopes: list[Envelope]) -> None:
    for one in envelopes:
        assert one.account is not None
        one.account.settled(one.dead)


# -- dead letters

BAD = {
    "no objects": lambda number: 0,
    "no price": lambda number: trade(number, p=None),
    "control characters": lambda number: trade(number, p="\x00" * 5000),
    "long texts": lambda number: trade(number, p="9" * 100_000),
    "unknown symbols": lambda number: trade(number, s="?" * 300),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("count", [1, 2, MOST, MOST + 1, 150])
def test_a_frame_has_so_many_dead_letters_and_the_books_have_all_items(kind: str, count: int) -> None:
    pipeline = intake_of(plan_of())
    frame = trades(*(BAD[kind](number) for number in range(count)), trade(10**6))
    envelopes, _ = pipeline.receive([frame], 0.0, WALL)
    letters = letters_of(envelopes)
    assert len(letters) == min(count, MOST) + (count > MOST)
    assert sum(len(one.value) for one in envelopes) < MOST_BYTES
    assert sum(letter.get("count", 1) for letter in letters) == count
    assert letters[0]["frame"] == frame or letters[0]["frame_truncated"]
    assert [letter["frame"] for letter in letters[1:]] == [None] * (len(letters) - 1)
    assert len({letter["frame_id"] for letter in letters}) == 1
    ledger = pipeline.connector_state.ledger
    assert ledger.totals()["in_flight"] == ledger.totals()["received"] == count + 1
    settle(envelopes)
    totals = ledger.totals()
    assert (totals["published"], totals["dead_letters"], totals["in_flight"]) == (1, count, 0)
    assert sum(ledger.dead_reasons.values()) == count


def test_each_letter_of_a_frame_has_its_own_item() -> None:
    envelopes, _ = intake_of(plan_of()).receive([trades(trade(1, p=None), trade(2, p=None))], 0.0, WALL)
    first, second = letters_of(envelopes)
    assert json.loads(first["item"])["i"] == 1
    assert json.loads(second["item"])["i"] == 2


def test_the_next_frame_has_letters_of_its_own() -> None:
    pipeline = intake_of(plan_of())
    frame = trades(*(trade(number, p=None) for number in range(MOST + 50)))
    envelopes, _ = pipeline.receive([frame, frame, "{", "{"], 0.0, WALL)
    assert [letter.get("count", 1) for letter in letters_of(envelopes)] == [*([1] * MOST), 50] * 2 + [1, 1]


def test_what_becomes_of_the_last_letter_becomes_of_all_it_stands_for() -> None:
    pipeline = intake_of(plan_of())
    items = [trade(number, p=None, s=("BTC-USD", "ETH-USD")[number % 2]) for number in range(MOST + 30)]
    envelopes, _ = pipeline.receive([trades(*items)], 0.0, WALL)
    last, ledger = envelopes[-1].account, pipeline.connector_state.ledger
    assert last is not None
    last.spooled += 1
    assert ledger.totals()["spooled"] == 30
    last.spooled -= 1
    last.lost += 1
    assert (ledger.totals()["spooled"], ledger.totals()["lost"]) == (0, 30)
    assert ledger.account("trade", "BTCUSD").lost == ledger.account("trade", "ETHUSD").lost == 15
    assert ledger.balanced()


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "\x01" * 10**6,
        "\u20ac" * 10**6,
        "\U0001f600" * 10**6,
        "\ud800" * 10**6,
        '\\"' * 10**6,
        "a\x01" * 10**6,
        "",
        "x",
    ],
)
@pytest.mark.parametrize("limit", [10, 11, 12, 13, 14, 15, 16, 2000, RAW_LIMIT])
def test_a_text_is_cut_by_what_it_takes_when_written(text: str, limit: int) -> None:
    found = shortened(text, limit)
    assert len(exactjson.encode(found)) - 2 <= limit
    assert text.encode("utf-8", "replace").decode().startswith(found)
    assert len(exactjson.encode(found)) - 2 > limit - 6 or found == text


@pytest.mark.parametrize("limit", [1, 40, 2000])
@pytest.mark.parametrize(
    "value",
    [
        [[1, 2, {"a": "b" * 100}]] * 1000,
        {"k" * 50 + str(n): n for n in range(1000)},
        [[]] * 3000,
        "x" * 5000,
        5,
        None,
        True,
        [["y" * 3000]],
    ],
)
def test_an_excerpt_is_the_beginning_of_what_would_be_written(value: Any, limit: int) -> None:
    assert exactjson.excerpt(value, limit) == exactjson.spell(value)[:limit]


# -- long frames


def worked(pipeline: FramePipeline, frames: list[str]) -> tuple[list[Envelope], int]:
    """All that comes of frames a part at a time, and in how many parts."""
    found: list[Envelope] = []
    envelopes: list[Envelope] = []
    parts = 0
    for _ in pipeline.work(frames, 0.0, WALL, envelopes, []):
        assert len(envelopes) <= AT_ONCE + 2
        found += envelopes
        envelopes.clear()
        parts += 1
    return found + envelopes, parts


def test_a_long_message_is_mapped_in_parts_with_the_same_records() -> None:
    items = [trade(number, **({"p": None} if number % 500 == 7 else {})) for number in range(5000)]
    parts, count = worked(intake_of(plan_of()), [trades(*items), trades(trade(9999))])
    whole: list[Envelope] = []
    other = intake_of(plan_of())
    for at in range(0, 5000, 100):
        whole += other.receive([trades(*items[at : at + 100])], 0.0, WALL)[0]
    whole += other.receive([trades(trade(9999))], 0.0, WALL)[0]
    assert count >= 5000 // 100
    assert [one.value for one in parts if not one.dead] == [one.value for one in whole if not one.dead]
    assert len(letters_of(parts)) == len(letters_of(whole)) == 10


def test_of_a_message_with_too_many_items_the_rest_is_one_dead_letter() -> None:
    pipeline = intake_of(plan_of())
    frame = '{"ch":"trade","data":[' + ",".join(["0"] * (MOST_ITEMS + 1000)) + "]}"
    envelopes, _ = worked(pipeline, [frame])
    settle(envelopes)
    totals, reasons = pipeline.connector_state.ledger.totals(), pipeline.connector_state.ledger.dead_reasons
    assert totals["received"] == totals["dead_letters"] == MOST_ITEMS + 1000
    assert reasons["frame-too-large"] == 1000
    assert len(envelopes) == MOST + 1
    assert letters_of(envelopes)[-1]["reasons"]["frame-too-large"] == 1000


def test_a_frame_that_is_given_up_is_in_the_books_and_the_next_one_is_read() -> None:
    pipeline = intake_of(plan_of())
    envelopes: list[Envelope] = []
    long = trades(*map(trade, range(2000)))
    work = pipeline.work([long, trades(trade(5000)), long], 0.0, WALL, envelopes, [])
    next(work)
    with suppress(StopIteration):
        for _ in range(10):
            work.throw(Abandoned("no time"))
    settle(envelopes)
    totals = pipeline.connector_state.ledger.totals()
    assert totals["received"] == totals["published"] + totals["duplicates"] + totals["dead_letters"] == 4001
    assert any(one.key == b"BTCUSD" and b"5000" in one.value for one in envelopes)
    assert "no time" in letters_of(envelopes)[-1]["detail"]


@pytest.mark.parametrize("shape", ["1,", "[],", "{},", '{"a":1},', "1.5,"])
def test_a_message_has_so_many_values(shape: str) -> None:
    per = shape.count(",") + shape.count("{") + shape.count("[")
    most = MOST_VALUES // per
    read = decoder(FrameEncoding())
    assert len(read("[" + shape * (most - 2) + "1]")) == most - 1
    with pytest.raises(RecordError) as caught:
        read("[" + shape * (most + 2) + "1]")
    assert caught.value.reason == "frame-too-large"


@pytest.mark.parametrize(
    ("value", "more"), [([1] * 10, 10), ([[1], [2]], 4), ({"a": {"b": [1, 2]}}, 4), (1, 0), ([], 0)]
)
def test_values_are_counted(value: Any, more: int) -> None:
    assert not exactjson.larger(value, more + 1)
    assert exactjson.larger(value, more)


@pytest.mark.parametrize("letters", ["\U0001f600", "\u00e9", "\\ud83d\\ude00"])
@pytest.mark.parametrize("encoded", [str, str.encode])
def test_one_wide_letter_does_not_make_a_long_message_four_times_as_large(letters: str, encoded: Any) -> None:
    read, room = decoder(FrameEncoding()), exactjson.WIDE_UP_TO - 100
    assert len(read(encoded(json.dumps(["x" * room]).replace("x", letters, 1)))) == 1
    assert len(read(encoded(json.dumps(["x" * 2 * room])))) == 1
    with pytest.raises(RecordError, match="beyond ASCII") as caught:
        read(encoded(json.dumps(["x" * 2 * room]).replace("x", letters, 1)))
    assert caught.value.reason == "frame-too-large"


def test_a_number_of_very_many_digits_is_no_message() -> None:
    long = trades(trade(1)).replace('"64000.10"', "1." + "1" * 100_000)
    (envelope,), _ = intake_of(plan_of()).receive([long], 0.0, WALL)
    assert letters_of([envelope])[0]["reason"] == "malformed-frame"


def test_an_item_has_so_many_members() -> None:
    pipeline = intake_of(plan_of())
    fine, odd = ({f"k{at}": at for at in range(count)} for count in (MOST_MEMBERS - 10, MOST_MEMBERS + 1))
    envelopes, _ = pipeline.receive([trades(trade(1, **fine)), trades(trade(2)), trades(trade(3, **odd))], 0.0, WALL)
    assert [one.dead for one in envelopes] == [False, False, True]
    assert letters_of(envelopes)[0]["reason"] == "record-too-large"


def test_while_others_have_their_turn_nothing_of_an_unreadable_frame_is_held() -> None:
    """An error holds what it passed on its way, an unpacked frame among it."""
    codec = SUBSCRIBE.replace("steps:", "codec: gzip\n  steps:", 1)
    pipeline = intake_of(plan_of(codec))
    bomb = gzip.compress(b"0" * (16 << 20))
    out: list[Envelope] = []
    tracemalloc.start()
    try:
        work = pipeline.work([bomb, bomb], 0.0, WALL, out, [])
        next(work)
        held, most = tracemalloc.get_traced_memory()
        for _ in work:
            pass
    finally:
        tracemalloc.stop()
    assert [letter["reason"] for letter in letters_of(out)] == ["frame-too-large"] * 2
    assert most > 8 << 20
    assert held < 2 << 20


# -- names


def test_symbols_for_one_record_each_are_not_kept_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is most of what a symbol takes. One that comes again is kept, and its records are the same."""
    monkeypatch.setattr("k2conn.engine.mapping.symbol_contexts.AT_ONCE", 5)
    plan = plan_of()
    pipeline = FramePipeline(ConnectorState(plan, None, 0), plan.connections[0], (), WORLD)
    known = pipeline.connector_state.mappings["trade"].contexts.known
    frame = trades(*(trade(n, s=f"S{n}-USD") for n in range(20)))
    values = []
    for kept, mapped in ((5, 5), (20, 5), (20, 20)):
        envelopes, _ = pipeline.receive([frame], 0.0, WALL)
        assert (len(known), sum(one.fast is not None for one in known.values())) == (kept, mapped)
        values.append([one.value for one in envelopes])
    assert values[0] == values[1] == values[2]
    assert len(values[0]) == 20


def test_so_many_symbols_are_mapped_the_fast_way_and_others_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, frame, values = plan_of(), trades(*(trade(n, s=f"S{n}-USD") for n in range(20))), []
    for most in (20, 7, 0):
        monkeypatch.setattr("k2conn.engine.mapping.symbol_contexts.FAST", most)
        pipeline = FramePipeline(ConnectorState(plan, None, 0), plan.connections[0], (), WORLD)
        values.append([one.value for _ in range(2) for one in pipeline.receive([frame], 0.0, WALL)[0]])
        known = pipeline.connector_state.mappings["trade"].contexts.known
        assert sum(one.fast is not None for one in known.values()) == most
    assert values[0] == values[1] == values[2]
    assert len(values[0]) == 40


def test_a_symbol_that_an_earlier_process_saw_is_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first record may end a gap, and who fills that must know what the symbol is."""
    monkeypatch.setattr("k2conn.engine.mapping.symbol_contexts.AT_ONCE", 0)
    pipeline = intake_of(plan_of(streams=NUMBERED))
    mapping = pipeline.connector_state.mappings["trade"]
    assert mapping.gaps is not None
    mapping.gaps.resume({"BTCUSD": 5})
    pipeline.receive([trades(trade(9, s="BTC-USD"), trade(9, s="ETH-USD"))], 0.0, WALL)
    assert list(mapping.symbols) == ["BTCUSD"]
    (gap,) = mapping.gaps.due(WALL + 10_000_000)
    assert (gap.key, gap.first, gap.last) == ("BTCUSD", 6, 8)


def test_numbers_are_known_of_symbols_that_are_not_kept_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.engine.mapping.symbol_contexts.AT_ONCE", 0)
    pipeline = intake_of(plan_of(streams=NUMBERED))
    mapping = pipeline.connector_state.mappings["trade"]
    for number in (1, 3):
        pipeline.receive([trades(trade(number), trade(number, s="ETH-USD"))], 0.0, WALL)
        assert set(mapping.symbols) == (set() if number == 1 else {"BTCUSD", "ETHUSD"})
    assert mapping.gaps is not None
    found = {gap.key: (gap.first, gap.last) for gap in mapping.gaps.due(WALL + 10_000_000)}
    assert found == {"BTCUSD": (2, 2), "ETHUSD": (2, 2)}


def test_symbols_beyond_the_bound_share_an_account_and_keep_their_records() -> None:
    plan = plan_of()
    state = ConnectorState(plan, None, 0, most_symbols=10)
    pipeline = FramePipeline(state, plan.connections[0], (), WORLD)
    for _ in range(2):
        envelopes, _ = pipeline.receive([trades(*(trade(n, s=f"S{n}-USD") for n in range(30)))], 0.0, WALL)
        assert len({one.key for one in envelopes}) == 30
    accounts = {one.symbol: one for one in state.ledger.accounts()}
    assert len(accounts) == 11
    assert accounts[OTHER].received == 40
    assert len(state.mappings["trade"].contexts.known) <= 11
    assert state.ledger.totals()["received"] == sum(one.received for one in accounts.values()) == 60


def test_sums_are_those_of_the_accounts() -> None:
    ledger = Ledger("a", "A")
    for number in range(100):
        account = ledger.account(("trade", "quote")[number % 2], f"S{number}")
        account.received, account.published, account.filtered, account.gaps = 7 * number, number, 3, number
    for stream in ("trade", "quote", "none"):
        own = [one.figures() for one in ledger.accounts() if one.stream == stream]
        for name, value in ledger.totals(stream).items():
            assert value == sum(one[name] for one in own)  # type: ignore[literal-required]  # of the same type
    assert ledger.totals()["in_flight"] == sum(one.in_flight for one in ledger.accounts())


FIRST = """
streams:
  trade:
    when: {ch: trade}
    each: data
    first_batch: tag
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {sell: SELL}}
"""


def test_names_that_no_rule_reads_are_not_remembered() -> None:
    pipeline = intake_of(plan_of(streams=FIRST))
    pipeline.receive([trades(*(trade(n, s=f"{n}?" * 30) for n in range(100)), trade(1))], 0.0, WALL)
    assert pipeline.session.scope.state["$first:trade"] == {"BTC-USD"}


def test_captures_are_bounded() -> None:
    state: dict[str, Any] = {}
    captures = Captures(state)
    for number in range(MOST_ROWS):
        captures.keep("pair_of", number, "BTC")
    captures.keep("pair_of", 5, "ETH")  # what is there may change
    assert (len(state["pair_of"]), state["pair_of"]["5"]) == (MOST_ROWS, "ETH")
    for key, value in ((MOST_ROWS, "BTC"), ("k" * 300, "BTC"), (1, "x" * LARGEST), (None, "x")):
        with pytest.raises(RecordError):
            captures.keep("pair_of", key, value)
    other = Captures(whole := {})
    for number in range(MOST_ROWS):
        with suppress(RecordError):
            other.keep("rows", number, "x" * 10_000)
    assert 500 < len(whole["rows"]) < 1000


def test_a_capture_without_room_is_an_error_of_the_venue() -> None:
    script = Script(plan_of(SUBSCRIBE + "  capture: [{when: {op: hi}, into: names, key: k, value: v}]\n"))
    script.open()
    for number in range(3):
        script.hear({"op": "hi", "k": number, "v": "x" * 70_000})
    assert len(script.noted("error")) == 3
    assert script.session.scope.state.get("names") is None


def test_answers_are_bounded() -> None:
    answer = "  answer: [{when: {op: ping}, send: {op: pong, n: $message.n}}]\n"
    limited = f"{SUBSCRIBE}  limits: {{send: 1 per 10s}}\n{answer}"
    script = Script(plan_of(limited))
    script.open()
    for number in range(MOST_ANSWERS + 100):
        script.hear({"op": "ping", "n": number})
    assert MOST_ANSWERS - 5 < len(script.session._outbox) <= MOST_ANSWERS + 5
    assert 90 < len(script.noted("error")) < 110


def test_gaps_that_wait_are_bounded_and_count_all_that_is_missing() -> None:
    rule = Sequence(read=lambda item, scope: 0, expression="i", rule="contiguous", per="symbol", key="i", previous=None)
    tracker = GapTracker("trade", rule)
    count = MOST_WAITING + 500
    for number in range(0, 2 * count + 1, 2):
        tracker.see("BTCUSD", number, None, WALL, 1, WALL)
    gaps = list(tracker.due(WALL + GRACE_US))
    assert len(gaps) == MOST_WAITING
    assert sum(gap.missing or 0 for gap in gaps) == sum(gap.count or 0 for gap in gaps) == count
    assert gaps[-1].last == 2 * count - 1
    assert len(tracker.missing(gaps[-1])) > 1


# -- frames of several messages

SEVERAL = SUBSCRIBE + '  each: "@"\n'


@pytest.mark.parametrize("count", [3, AT_ONCE + 1, 2000])
def test_a_frame_of_many_messages_is_worked_on_in_parts(count: int) -> None:
    pipeline = intake_of(plan_of(SEVERAL))
    messages = [{"ch": "trade", "data": [trade(number)]} for number in range(count)]
    long = {"ch": "trade", "data": list(map(trade, range(count, count + AT_ONCE + 50)))}
    frame = exactjson.encode([*messages, long, {"ch": "trade", "data": [trade(10**6)]}]).decode()
    envelopes, parts = worked(pipeline, [frame])
    settle(envelopes)
    totals = pipeline.connector_state.ledger.totals()
    assert totals["received"] == totals["published"] + totals["dead_letters"] == count + AT_ONCE + 51
    assert totals["published"] == totals["received"] or count > AT_ONCE
    assert parts > count // 200
    assert any(b"1000000" in one.value for one in envelopes if not one.dead)


def test_a_frame_of_very_many_words_is_few_dead_letters() -> None:
    pipeline = intake_of(plan_of(SEVERAL))
    envelopes, _ = worked(pipeline, [exactjson.encode(["x"] * (MOST_ITEMS + 500)).decode()])
    settle(envelopes)
    assert len(envelopes) == MOST + 1
    ledger = pipeline.connector_state.ledger
    assert ledger.malformed == ledger.totals()["dead_letters"] == MOST_ITEMS + 500
