"""Candles of trades in topics: whole processes, a real broker and registry; one is killed, and nothing shows it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import load_schema
from tests.integration.test_run import environment
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support import warm_process
from tests.support.topics import Consumer, filled, made, quotes, read_to, registered, trade_values
from tests.support.trade_data import many, reference, shuffled

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]
MINUTE = 60_000_000
PARTS = 4


class Candles(Consumer):
    """`k2conn candles --from kafka`."""

    command = "candles"


def bodies(head: bytes, count: int, seed: int) -> tuple[list[list[bytes]], list[Any]]:
    """Trades by partition, out of order and with repeats, a symbol in one partition only; and the trades."""
    trades = many(count, seed, step_us=500_000)
    schema, parts = load_schema("trade"), [[] for _ in range(PARTS)]
    places = {"BTCUSDT": 0, "ETHUSDT": 1, "XRPUSDT": 2, "RAREUSDT": 2}
    for one in shuffled(trades, MINUTE, seed):
        values = trade_values(
            0, message_id=one.message_id, trade_id=one.trade_id, exchange=one.exchange, symbol=one.symbol,
            timestamp=one.time_us, price=one.price, quantity=one.quantity, side="BUY" if one.buys else "SELL",
            ingestion_timestamp=one.received_us, source_sequence=None, currency="USDT",
        )
        parts[places[one.symbol]].append(head + schema.encode(list(values.values())))
    return parts, trades


def written(broker: SharedBroker, topic: str) -> list[dict[str, Any]]:
    """All candles in a topic, in the order in which they were written, of each symbol."""
    schema = load_schema("candle")
    return [schema.decode(message.value()[5:]) for message in read(broker, topic, 1)]


@pytest.mark.deploy
def test_one_is_killed_and_the_candles_are_those_of_the_reference(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("m")
    topic = f"{prefix}.trades.venue"
    made(broker, topic, partitions=PARTS)
    head = registered(registry, f"{topic}-value", load_schema("trade").text)
    parts, trades = bodies(head, 24_000, 5)
    chance = random.Random(5)
    given = (broker, registry, f"{prefix}.trades.*", prefix, "--from-beginning", "--intervals", "1m,5m,1h",
             "--lateness", "2m", "--topic", prefix + ".{plural}.{exchange}")
    sent = 0
    for turn in range(4):
        with Candles(tmp_path / "c", *given) as one:
            one.until(lambda source: source["assigned"] == PARTS)
            for part, values in enumerate(parts):
                first, last = len(values) * turn // 4, len(values) * (turn + 1) // 4
                filled(broker, topic, values[first:last], partition=part)
                sent += last - first
            if turn == 3:
                source = one.until(read_to(topic, [len(values) for values in parts]))
                assert source["balanced"]
                code, summary = one.stop()
                assert code == 0, one.said
                assert summary["source"]["balanced"]
                assert summary["source"]["dead_letter_reasons"] == {}
            else:
                one.until(lambda source: done_of(source) > chance.randrange(2000))
                one.kill()
    assert sent == sum(map(len, parts))
    records = written(broker, f"{prefix}.candles.venue")
    latest = {(one["symbol"], one["interval"], one["open_time"]): one for one in records}
    compared = 0
    with localcontext(Context(prec=100)):
        for interval in ("1m", "5m", "1h"):
            for (symbol, begin), expected in reference(trades, interval).items():
                record = latest.pop((symbol, interval, begin), None)
                if record is None:  # not over where the trades end
                    assert begin + {"1m": 1, "5m": 5, "1h": 60}[interval] * MINUTE > trades[-1].time_us - 2 * MINUTE
                    continue
                assert {name: record[name] for name in expected} == expected
                compared += 1
    assert latest == {}
    assert compared > 500
    assert all(isinstance(one["quote_volume"], Decimal) for one in records)
    contents = [tuple(sorted((name, str(value)) for name, value in one.items())) for one in records]
    assert len(contents) < 1.5 * len(set(contents)), "a kill repeats what was not committed, and no more"


def done_of(source: dict[str, Any]) -> int:
    return sum(int(one["written"]) for one in source["topics"].values())


def test_two_share_and_what_is_no_trade_is_a_dead_letter(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("m")
    topic = f"{prefix}.trades.venue"
    made(broker, topic, partitions=PARTS)
    head = registered(registry, f"{topic}-value", load_schema("trade").text)
    other = registered(registry, f"{topic}-other", load_schema("quote").text)
    parts, trades = bodies(head, 4000, 6)
    given = (broker, registry, f"{prefix}.trades.*", prefix, "--from-beginning", "--intervals", "1m", "--topic",
             prefix + ".{plural}.{exchange}")
    with Candles(tmp_path / "a", *given) as one, Candles(tmp_path / "b", *given) as two:
        one.until(lambda source: source["assigned"] == PARTS // 2)
        two.until(lambda source: source["assigned"] == PARTS // 2)
        for part, values in enumerate(parts):
            filled(broker, topic, values[: len(values) // 2], partition=part)
        filled(broker, topic, [other + quotes([1])[0], b"x", None], partition=3)
        two.until(lambda source: done_of(source) > 0)
        two.kill()
        one.until(lambda source: source["assigned"] == PARTS)
        for part, values in enumerate(parts):
            filled(broker, topic, values[len(values) // 2 :], partition=part)
        source = one.until(read_to(topic, [*(len(values) for values in parts[:3]), len(parts[3]) + 3]))
        assert source["balanced"]
        assert one.stop()[0] == 0, one.said
    latest = {(one["symbol"], one["open_time"]): one
              for one in written(broker, f"{prefix}.candles.venue")}
    with localcontext(Context(prec=100)):
        for (symbol, begin), expected in reference(trades, "1m").items():
            record = latest.pop((symbol, begin), None)
            if record is not None:
                assert {name: record[name] for name in expected} == expected
            else:
                assert begin + MINUTE > trades[-1].time_us - 2 * MINUTE
    assert latest == {}
    letters = [json.loads(message.value()) for message in read(broker, f"{topic}.dlq", 3)]
    assert sorted(one["reason"] for one in letters) == ["bad-type", "malformed-frame", "malformed-frame"]


def test_what_has_no_meaning_is_refused_at_once() -> None:
    done = warm_process.k2conn(
        "candles", "data", "--from", "kafka", "--topics", "market.*", "--empty", "repeat", "--open", "keep",
        "--intervals", "1x", env=environment(K2_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"),
    )
    assert done.returncode == 2
    for words in ("data has no meaning there", "--empty repeat", "--open keep", "'1x' is no interval",
                  "--topics market.*: the candles in topics such as market.crypto.candles.x would be read, too"):
        assert words in done.stderr
