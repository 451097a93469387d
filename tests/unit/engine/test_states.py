"""Records with a key: states of something that is over some day, and how it is known that it is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from k2conn.engine.conversation.request_frames import frame_text
from k2conn.engine.frame_pipeline import ConnectorState, FramePipeline
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.plan import Plan
from k2conn.records import V2, WIDE, use_decimals
from k2conn.runner.overrides import Overrides, overridden
from tests.support.plans import WORLD, plan_of

CONNECTION = "connection: {url: wss://venue.example/ws}\n"
FIELDS = """
    fields:
      symbol: s
      open_time: {from: t, unit: s}
      open: o
      high: h
      low: l
      close: c
      volume: v
"""
FLAGGED = f"""
streams:
  candle:
    intervals: {{1m: 1m, 5m: 5m}}
    when: {{i: $interval}}
    each: data
    sequence: every-interval
{FIELDS}      is_closed: x
      timestamp: {{from: at, unit: s}}
"""
UNFLAGGED = f"""
streams:
  candle:
    intervals: {{1m: 1m}}
    when: {{i: 1m}}
    each: data
    closed: when-next-opens
{FIELDS}"""
MINUTE = 1_767_323_040
IDS = MessageIds("VENUE", "candle", "BTCUSD")


def candle(minute: int, close: str = "101", closed: bool | None = None, **other: Any) -> dict[str, Any]:
    own = {"s": "BTC-USD", "t": MINUTE + 60 * minute, "o": "100", "h": "110", "l": "90", "c": close, "v": "1.5"}
    return {**own, "at": own["t"] + 61, **({} if closed is None else {"x": closed}), **other}


class Feed:
    """A connector and its connections."""

    def __init__(self, plan: Plan, streams: Sequence[str] = ("candle_1m",)) -> None:
        self.plan = plan
        self.connector_state = ConnectorState(plan, list(streams))
        self.connect()

    def connect(self) -> None:
        symbols = [found for name in self.plan.symbols.default if (found := self.plan.symbols.resolve(name))]
        self.pipeline = FramePipeline(self.connector_state, self.plan.connections[0], symbols, WORLD)

    def records(self, *items: dict[str, Any], interval: str = "1m", at: int = 1) -> list[dict[str, Any]]:
        frame = frame_text({"i": interval, "data": list(items)})
        envelopes, _ = self.pipeline.receive([frame], 0.0, at)
        return [one.schema.decode_plain(one.value) for one in envelopes if one.schema is not None]

    @property
    def account(self) -> Any:
        return self.connector_state.ledger.account("candle_1m", "BTCUSD")

    def gaps(self) -> list[dict[str, Any]]:
        found = self.connector_state.gap_records(10**9)
        return [one.schema.decode_plain(one.value) for one in found if one.schema is not None]


def key(minute: int, interval: str = "1m") -> str:
    return IDS.make(f"{interval}|{(MINUTE + 60 * minute) * 1_000_000}")


def flagged(**given: Any) -> Feed:
    return Feed(overridden(plan_of(CONNECTION, FLAGGED), Overrides(**given)))


# -- where the venue says which state is the last


def test_only_what_is_over_is_a_record() -> None:
    feed = flagged()
    assert feed.records(candle(0, closed=False), candle(0, "102", closed=False)) == []
    (record,) = feed.records(candle(0, "103", closed=True))
    assert (record["close"], record["is_closed"], record["interval"]) == ("103", True, "1m")
    begin = MINUTE * 1_000_000
    assert (record["open_time"], record["close_time"]) == (begin, begin + 60_000_000)
    assert record["timestamp"] == begin + 61_000_000
    assert (feed.account.received, feed.account.filtered) == (1, 2)


def test_the_id_follows_from_the_key_and_a_correction_has_another() -> None:
    feed = flagged()
    (first,) = feed.records(candle(0, closed=True))
    assert first["message_id"] == key(0)
    assert feed.records(candle(0, closed=True, at=MINUTE + 99)) == []  # reported again
    (corrected,) = feed.records(candle(0, "102", closed=True))
    assert corrected["message_id"] not in (key(0), None)
    assert feed.records(candle(0, "102", closed=True)) == []
    assert (feed.account.duplicates, feed.account.conflicts) == (2, 1)
    (other,) = flagged().records(candle(0, "102", closed=True))
    assert other["message_id"] == key(0)  # for who sees nothing but the correction


def test_each_state_of_what_is_open_is_a_record_of_its_own_on_demand() -> None:
    feed = flagged(keep_open=True)
    states = [candle(0, "101", closed=False), candle(0, "102", closed=False), candle(0, "101", closed=False)]
    found = feed.records(*states, candle(0, "102", closed=True))
    assert [(one["close"], one["is_closed"]) for one in found] == [("101", False), ("102", False), ("102", True)]
    assert len({one["message_id"] for one in found}) == 3
    assert found[-1]["message_id"] == key(0)
    again = flagged(keep_open=True).records(*states[:2])
    assert [one["message_id"] for one in again] == [one["message_id"] for one in found[:2]]


def test_the_ids_of_states_do_not_depend_on_the_size_of_decimals() -> None:
    found = []
    for size in (V2, WIDE):
        use_decimals(size)
        try:
            found.append(flagged(keep_open=True).records(candle(0, closed=False), candle(0, closed=True)))
        finally:
            use_decimals(V2)
    assert [one["message_id"] for one in found[0]] == [one["message_id"] for one in found[1]]


def test_intervals_are_apart() -> None:
    feed = Feed(plan_of(CONNECTION, FLAGGED), ["candle_1m", "candle_5m"])
    (one,) = feed.records(candle(1, closed=True))
    (five,) = feed.records(candle(1, closed=True, t=MINUTE + 60), interval="5m")
    assert (five["interval"], five["message_id"]) == ("5m", key(1, "5m"))
    assert five["close_time"] - five["open_time"] == 300_000_000
    assert one["message_id"] != five["message_id"]


def test_a_beginning_that_is_none_is_a_dead_letter() -> None:
    feed = flagged()
    assert feed.records(candle(0, closed=True, t=MINUTE + 1)) == []
    assert feed.connector_state.ledger.dead_reasons == {"bad-time": 1}


def test_sums_are_wider_than_prices() -> None:
    feed = flagged()
    volume = Decimal("98765432109876543210.123456789012345678")
    (record,) = feed.records(candle(0, closed=True, v=str(volume)))
    assert record["volume"] == str(volume)


# -- open times without a hole


def test_a_missing_open_time_is_a_gap_and_open_ones_are_not_counted() -> None:
    feed = flagged(keep_open=True)
    feed.records(candle(0, closed=True), candle(1, closed=False), candle(4, closed=False), candle(4, closed=True))
    (gap,) = feed.gaps()
    number = MINUTE // 60
    assert (gap["first_sequence"], gap["last_sequence"], gap["missing"]) == (number + 1, number + 3, 3)
    begin = MINUTE * 1_000_000
    assert (gap["from_timestamp"], gap["to_timestamp"]) == (begin + 60_000_000, begin + 300_000_000)
    feed.records(candle(2, closed=True), candle(1, closed=True), candle(3, closed=True))
    (closed,) = feed.gaps()
    assert (closed["status"], closed["missing"]) == ("CLOSED", 0)


def test_what_cannot_be_read_is_missing() -> None:
    feed = flagged()
    feed.records(candle(0, closed=True), candle(1, closed=True, c="x"), candle(2, closed=True))
    (gap,) = feed.gaps()
    assert gap["missing"] == 1


# -- where the venue does not say it


def unflagged(**given: Any) -> Feed:
    return Feed(overridden(plan_of(CONNECTION, UNFLAGGED), Overrides(**given)))


def test_the_last_state_before_the_next_one_opens_is_the_record() -> None:
    feed = unflagged()
    assert feed.records(candle(0, "101"), at=10) == []
    assert feed.records(candle(0, "102", note="last"), at=20) == []
    (record,) = feed.records(candle(1, "103"), at=30)
    assert (record["close"], record["is_closed"], record["message_id"]) == ("102", True, key(0))
    assert record["ingestion_timestamp"] == 20  # when that state came
    assert record["timestamp"] == record["close_time"]
    assert record["vendor_data"]["note"] == "last"
    assert (feed.account.received, feed.account.filtered) == (1, 3)


def test_one_frame_may_close_several() -> None:
    found = unflagged().records(candle(0), candle(1), candle(5), candle(6))
    assert [one["message_id"] for one in found] == [key(0), key(1), key(5)]


def test_a_state_that_comes_after_the_next_one_opened_is_a_correction() -> None:
    feed = unflagged()
    (first,) = feed.records(candle(0), candle(1))
    (late,) = feed.records(candle(0, "109"))
    assert (late["close"], late["is_closed"]) == ("109", True)
    assert first["message_id"] == key(0) != late["message_id"]
    assert feed.account.conflicts == 1
    (second,) = feed.records(candle(2))
    assert second["message_id"] == key(1)


def test_the_newest_may_come_first() -> None:
    found = unflagged().records(candle(2), candle(1), candle(0))
    assert [one["message_id"] for one in found] == [key(1), key(0)]


def test_what_had_begun_on_another_connection_is_no_record() -> None:
    feed = unflagged()
    feed.records(candle(0, "101"))
    feed.connect()
    assert feed.records(candle(3, "103")) == []
    (record,) = feed.records(candle(4))
    assert record["message_id"] == key(3)


def test_open_ones_and_their_ends_on_demand() -> None:
    found = unflagged(keep_open=True).records(candle(0, "101"), candle(0, "102"), candle(1, "103"))
    assert [(one["close"], one["is_closed"]) for one in found] == [
        ("101", False), ("102", False), ("102", True), ("103", False)
    ]
    assert [one["message_id"] == key(0) for one in found] == [False, False, True, False]


def test_what_was_held_and_cannot_be_read_is_a_dead_letter_with_its_own_frame() -> None:
    feed = unflagged()
    feed.records(candle(0, v="many"))
    frame = frame_text({"i": "1m", "data": [candle(1)]})
    (letter,), _ = feed.pipeline.receive([frame], 0.0, 1)
    assert letter.schema is None
    assert b"many" in letter.value
    assert feed.connector_state.ledger.dead_reasons == {"bad-number": 1}
    (record,) = feed.records(candle(2))
    assert record["message_id"] == key(1)


@pytest.mark.parametrize("stream", [FLAGGED, UNFLAGGED])
def test_two_sockets_with_the_same_candles_give_each_once(stream: str) -> None:
    feed = Feed(plan_of(CONNECTION, stream))
    items = [candle(minute, closed=True) for minute in range(4)]
    first = feed.records(*items)
    feed.connect()
    assert feed.records(*items) == []
    assert feed.account.duplicates == len(first) >= 3


def test_the_intervals_of_a_stream_share_the_venue_s_limit_on_calls() -> None:
    call = "    backfill: {http: 'GET https://x.example/?s={$symbol}&a={$first_ms}', limit: 1 per 1s}\n"
    plan = plan_of(CONNECTION, FLAGGED.replace("    each: data\n", f"    each: data\n{call}"))
    state = ConnectorState(plan, ["candle_1m", "candle_5m"], backfill=True)
    limiters = [state.pending_backfills.limiter(one) for (one,) in state.gaps.backfills.values()]
    assert [one.wait(10.0) for one in limiters] == [0.0, 1.0]
    successor = state.for_plan(plan, ["candle_1m", "candle_5m"], backfill=True)
    assert [successor.pending_backfills.limiter(one).wait(10.0) for (one,) in successor.gaps.backfills.values()] == [
        2.0, 3.0
    ]
