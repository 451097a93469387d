"""An equal id with other content is another record: published under an id of its own, and counted, in every way."""

from __future__ import annotations

from typing import Any

import pytest

from k2conn import exactjson
from k2conn.cli.loading import shipped
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.identity.record_content import FETCHED, KNOWN_NOT, SNAPSHOT, content_maker, same_content
from k2conn.engine.persisted_state import kept, resume
from k2conn.engine.resilience.replicas import ReplicaSet
from k2conn.plan import Plan
from tests.support.in_c import both_ways
from tests.support.plans import STREAMS, WORLD, intake_of, plan_of, trade, trades
from tests.support.shipped import load
from tests.unit.engine.test_backfill import COUNTED, NOW, EngineHarness, counted, row
from tests.unit.engine.test_backfill import STREAMS as FILLED
from tests.unit.engine.test_native_mapper import complete, said

in_c = both_ways("Mapper")
WALL = 1_767_323_046_000_000


def hear(pipeline: FramePipeline, *items: dict[str, Any], wall: int = WALL, **more: Any) -> list[dict[str, Any]]:
    """The records that a message becomes."""
    found, _ = pipeline.receive([trades(*items, **more)], 0.0, wall)
    return [one.schema.decode_plain(one.value) for one in found if one.schema is not None]


def again(pipeline: FramePipeline) -> FramePipeline:
    """Another connection of the same connector."""
    state = pipeline.connector_state
    symbols = [symbol for name in state.plan.symbols.default if (symbol := state.plan.symbols.resolve(name))]
    return FramePipeline(state, state.plan.connections[0], symbols, WORLD)


def totals(pipeline: FramePipeline) -> tuple[int, int, int]:
    figures = pipeline.connector_state.ledger.totals()
    return figures["received"], figures["duplicates"], figures["conflicts"]


OTHERS: list[dict[str, Any]] = [{"p": "64000.11"}, {"q": "0.26"}, {"d": "buy"}, {"t": 1767323045679}]


@pytest.mark.parametrize("other", OTHERS)
def test_another_price_quantity_side_or_time_is_another_trade(other: dict[str, Any]) -> None:
    pipeline = intake_of(plan_of())
    one, two = hear(pipeline, trade(7), trade(7, **other))
    assert one["trade_id"] == two["trade_id"] == "VENUE-7"
    assert one["message_id"] != two["message_id"]
    assert totals(pipeline) == (2, 0, 1)
    (trouble,) = pipeline.connector_state.ledger.troubles.latest
    assert (trouble.kind, trouble.detail["symbol"], trouble.detail["id"]) == ("id conflict", "BTCUSD", "7")


def test_each_of_them_is_known_again_on_the_next_connection() -> None:
    pipeline = intake_of(plan_of())
    items = [trade(0, p=str(price)) for price in (100, 101, 102)]
    first = hear(pipeline, *items)
    assert len({record["message_id"] for record in first}) == 3
    assert hear(again(pipeline), *items, wall=WALL + 5_000_000) == []
    assert totals(pipeline) == (6, 3, 2)
    assert hear(again(pipeline), trade(0, p="103"))[0]["message_id"] not in {one["message_id"] for one in first}
    afresh = hear(intake_of(plan_of()), *items)
    assert [one["message_id"] for one in afresh] == [one["message_id"] for one in first], "the same on every delivery"


def test_what_else_a_delivery_carries_is_no_content() -> None:
    streams = STREAMS.replace("    each: data\n", "    each: data\n    snapshot: {kind: snapshot}\n", 1)
    pipeline = intake_of(plan_of(streams=streams))
    assert len(hear(pipeline, trade(1, fee="3"))) == 1
    assert hear(again(pipeline), trade(1, fee="4", more=True), wall=WALL + 1) == []
    assert hear(again(pipeline), trade(1), kind="snapshot") == []
    assert totals(pipeline) == (3, 2, 0)


TIMES = ["$received_at", "{from: $message.sent, unit: ms}", "{from: t, unit: ms, absent: $received_at}"]


@pytest.mark.parametrize("time", TIMES)
def test_a_time_that_is_not_the_item_s_own_is_no_content(time: str) -> None:
    pipeline = intake_of(plan_of(streams=STREAMS.replace("timestamp: {from: t, unit: ms}", f"timestamp: {time}", 1)))
    item = trade(1)
    del item["t"]
    assert len(hear(pipeline, item, sent=1767323045000)) == 1
    assert hear(again(pipeline), item, wall=WALL + 9_000_000, sent=1767323049000) == []
    assert len(hear(again(pipeline), {**item, "p": "1"}, sent=1767323049000)) == 1
    assert totals(pipeline) == (3, 1, 1)


def test_a_row_that_was_fetched_is_the_stream_s_record_though_its_time_is_rounded() -> None:
    harness = EngineHarness(counted())
    harness.hear(row(1), row(4))
    mapping = harness.connector_state.gaps.backfills["trade"][0]
    harness.pipeline._scope.symbol, harness.pipeline._scope.received_at = harness.symbol, NOW
    for fetched in (row(1), {**row(1), "t": row(1)["t"] // 1000 * 1000}):
        out: list[Any] = []
        mapping.row(fetched, harness.pipeline._scope, out)
        assert out == []
    mapping.row({**row(1), "q": "9"}, harness.pipeline._scope, out)
    assert len(out) == 1
    assert harness.connector_state.ledger.totals()["conflicts"] == 1


def test_a_field_that_rows_do_not_have_tells_nothing_apart() -> None:
    call = '{http: "GET https://v.example/t?s={$symbol}&from={$first}", fields: {side: {value: UNKNOWN}}}'
    harness = EngineHarness(plan_of(streams=FILLED.replace("SEQUENCE", COUNTED).replace("CALL", call)))
    harness.hear(row(1))
    out: list[Any] = []
    mapping = harness.connector_state.gaps.backfills["trade"][0]
    harness.pipeline._scope.symbol, harness.pipeline._scope.received_at = harness.symbol, NOW
    mapping.row(row(1), harness.pipeline._scope, out)
    assert out == []


def test_replicas_count_the_copies_of_each() -> None:
    replica_set, window = ReplicaSet(2), DedupWindow(100)
    contents = [number.to_bytes(14, "big") for number in (1 << 80, 2 << 80)]
    for replica in (replica_set.replica(0), replica_set.replica(1)):
        window.replica = replica
        found = [window.admit("0", content) for content in contents]
        assert [one is None for one in found] == [replica is not None and replica._number == 1] * 2
    assert replica_set.tallies[0].first == 2
    assert replica_set.tallies[1].late == 2


# -- the three ways make the same content


def contents(plan: Plan, frames: list[str | bytes], whole: bool) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    state = ConnectorState(plan, [stream.name for stream in plan.streams])
    symbols = [symbol for name in plan.symbols.default if (symbol := plan.symbols.resolve(name))]
    for connection in plan.connections:
        pipeline = FramePipeline(state, connection, symbols, WORLD)
        if whole:
            complete(pipeline)
        pipeline.receive(frames, 0.0, WALL)
    for mapping in state.mappings.values():
        found |= mapping.window.young
    return found


@pytest.mark.parametrize("name", [path.stem for path in shipped()])
def test_every_way_makes_the_same_content(name: str) -> None:
    plan = load(name)
    frames = [one if isinstance(one, str | bytes) else exactjson.encode(one).decode() for one in said(plan)]
    assert contents(plan, frames, False) == contents(plan, frames, True)


def test_a_content_is_three_parts() -> None:
    usual, other = content_maker([0, 1], [2]), content_maker([0, 1], [2, 3])
    one = usual([1, 2, "BUY"], 5)
    assert len(one) == len(KNOWN_NOT) == 14
    assert one == usual([1, 2, "BUY"], 5) != usual([2, 1, "BUY"], 5)
    assert usual([1, 2, "SELL"], 5)[:12] == one[:12]
    assert other([None, 2, "BUY", "x"], 5) == other([None, 2, "BUY", "x"], 5) != other([None, 2, "BUYx", ""], 5)
    assert usual([-(10**30), 2, "é"], 2**70)  # whatever it is, it has a content
    assert same_content(one, KNOWN_NOT)
    assert same_content(one, usual([1, 2, "BUY"], 0))
    assert not same_content(one, usual([1, 2, "BUY"], 6))
    assert same_content(one, usual([1, 2, "BUY"], 6) + FETCHED)
    assert not same_content(one + SNAPSHOT, usual([1, 2, "BUY"], 6) + SNAPSHOT)
    assert not same_content(one, usual([1, 2, "BUY"], 1_000_005) + FETCHED)


# -- the next process


def test_the_next_process_tells_them_apart_too_and_reads_what_older_ones_kept() -> None:
    pipeline = intake_of(plan_of())
    hear(pipeline, trade(1), trade(2), trade(1, p="5"))
    state = exactjson.decode(exactjson.encode(kept(pipeline.connector_state)))
    later = intake_of(plan_of())
    resume(later.connector_state, state, WALL)
    assert hear(later, trade(1), trade(1, p="5"), trade(2)) == []
    assert len(hear(later, trade(2, p="5"))) == 1
    for stream in state["streams"].values():
        del stream["contents"]
    older = intake_of(plan_of())
    resume(older.connector_state, state, WALL)
    assert hear(older, trade(1), trade(2, p="6")) == [], "of an id alone nothing can be told apart"


@pytest.mark.parametrize("contents", [["00"], "x", ["zz" * 14] * 3, [1, 2, 3]])
def test_a_state_with_odd_contents_is_refused_whole(contents: Any) -> None:
    pipeline = intake_of(plan_of())
    hear(pipeline, trade(1), trade(2), trade(3))
    state = exactjson.decode(exactjson.encode(kept(pipeline.connector_state)))
    state["streams"]["trade"]["contents"] = contents
    with pytest.raises(ValueError, match="form"):
        resume(intake_of(plan_of()).connector_state, state, WALL)
