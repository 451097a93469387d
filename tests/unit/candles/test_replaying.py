"""Candles of a partition, killed at any moment: the ones that are given are those of a run that was never killed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.replaying import ReplayedCandles, Restart
from k2conn.candles.series import Candle
from k2conn.candles.settings import CandleSettings
from k2conn.candles.trades import Trade
from tests.support.trade_data import BEGIN_US, LENGTHS, many, reference, shuffled, trade

MINUTE = 60_000_000
SETTINGS = CandleSettings(("1m", "5m", "1h"), lateness_us=2 * MINUTE)


def told(candles: list[Candle]) -> list[bytes]:
    encoder = CandleEncoder()
    return [encoder.envelope(one).value for one in candles]


class Partition:
    """A log of trades, read by one process after the other; some offsets are of nothing."""

    def __init__(self, trades: list[Trade], seed: int) -> None:
        self.chance = random.Random(seed)
        self.log: list[tuple[int, Trade]] = []
        offset = 0
        for one in trades:
            offset += 1 + (self.chance.random() < 0.01)
            self.log.append((offset, one))
        self.first = self.log[0][0]

    def read(self, settings: CandleSettings, kills: float, start: int = 0) -> tuple[list[bytes], list[Trade], int]:
        """What is given durably, in order; a kill takes what was done since the last commit with it."""
        given: list[bytes] = []
        late: list[Trade] = []
        committed, durable, again = Restart(start, ""), start, 0
        while True:
            one = ReplayedCandles(settings, *committed)
            at = next(n for n, (offset, _) in enumerate(self.log) if offset >= committed.offset)
            again += sum(committed.offset <= offset < durable for offset, _ in self.log)
            new, new_late, killed = [], [], False
            while at < len(self.log):
                size = self.chance.choice((1, 7, 200, 1000))
                batch = self.log[at : at + size]
                at += len(batch)
                end = batch[-1][0] + 1
                made = one.add(batch, end)
                new += told(made.candles)
                new_late += [late for late, _ in made.refused]
                if self.chance.random() < kills:
                    killed = True
                    break
                if self.chance.random() < 0.5 and end > durable:
                    committed, durable = one.restart(end), end
                    given, new = given + new, []
                    late, new_late = late + new_late, []
            if not killed:
                return given + new, late + new_late, again


def records(bodies: list[bytes]) -> dict[Any, dict[str, Any]]:
    """The latest of each key."""
    schema = CandleEncoder()._record.schema
    found = {}
    for body in bodies:
        one = schema.decode(body)
        one.pop("message_id")  # a correction's has its own, and what is looked at together makes none
        found[one["symbol"], one["interval"], one["open_time"]] = one
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_process_that_is_killed_gives_what_one_gives_that_is_not(seed: int) -> None:
    trades = many(10_000, seed, step_us=800_000)
    partition = Partition(shuffled(trades, MINUTE, seed), seed)
    given, late, again = partition.read(SETTINGS, kills=0.1)
    assert not late
    assert again > 100, "there were kills"
    found = records(given)
    compared = 0
    for interval in ("1m", "5m", "1h"):
        for (symbol, begin), expected in reference(trades, interval).items():
            record = found.pop((symbol, interval, begin), None)
            if record is None:  # not over where the input ends
                assert begin + LENGTHS[interval] > trades[-1].time_us - 3 * MINUTE
                continue
            assert {name: record[name] for name in expected} == expected
            compared += 1
    assert found == {}
    assert compared > 400


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_given_twice_and_no_trade_is_refused_otherwise(seed: int) -> None:
    trades = shuffled(many(6000, seed, step_us=1_000_000), 10 * MINUTE, seed)  # many come too late
    never, late, _ = Partition(trades, seed).read(SETTINGS, kills=0)
    given, late_too, again = Partition(trades, seed).read(SETTINGS, kills=0.25)
    assert again > 100
    assert {one.message_id for one in late} == {one.message_id for one in late_too}
    assert len(late_too) == len(late) > 50
    assert len(given) == len(set(given)), "no candle or correction is given twice"
    assert records(given) == records(never)


def test_a_beginning_that_is_not_known_makes_no_candle() -> None:
    trades = [trade(n, BEGIN_US + n * 10_000_000) for n in range(300)]
    log = [(100 + n, one) for n, one in enumerate(trades)]
    one = ReplayedCandles(SETTINGS, 100, "")
    made = one.add(log, 400)
    begins = [candle.begin_us for candle in made.candles if candle.interval.name == "1m"]
    assert min(begins) == BEGIN_US + 3 * MINUTE  # delay and lateness behind the first trade
    assert one.partial > 0


@pytest.mark.parametrize("note", ["", "x", "[]", '{"silent":1}', '{"silent":-1,"since_us":0,"words":""}', "1" * 5000])
def test_a_note_of_others_is_none(note: str) -> None:
    one = ReplayedCandles(SETTINGS, 7, note)
    assert one.restart(7).offset == 7


def test_a_restart_before_all_was_read_again_begins_where_this_one_did() -> None:
    log = [(n, trade(n, BEGIN_US + n * 10_000_000)) for n in range(300)]
    settings = CandleSettings(("1m", "5m"), lateness_us=2 * MINUTE)
    first = ReplayedCandles(settings, 0, "")
    first.add(log[:200], 200)
    place = first.restart(200)
    assert 0 < place.offset < 200
    assert ReplayedCandles(settings, *place).restart(place.offset) == place
    second = ReplayedCandles(settings, *place)
    second.add(log[place.offset : 190], 190)
    assert second.restart(190) == place
    assert second.add(log[190:200], 200).candles == []
    assert second.restart(200) == place


def test_with_other_intervals_what_was_given_is_given_again_rather_than_left_out() -> None:
    log = [(n, trade(n, BEGIN_US + n * 10_000_000)) for n in range(400)]
    first = ReplayedCandles(CandleSettings(("1h",), lateness_us=2 * MINUTE), 0, "")
    first.add(log, 400)
    place = first.restart(400)
    made = ReplayedCandles(CandleSettings(("1m", "1h"), lateness_us=2 * MINUTE), *place).add(log[place.offset :], 400)
    assert {candle.interval.name for candle in made.candles} == {"1m"}
    assert len(made.candles) > 3
