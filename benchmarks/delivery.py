"""What exactly-once delivery costs beside at-least-once delivery: CPU for each trade, the same trades into the same
broker, round after round in turn, so that a busy machine is busy for both.

Example:

    python -m benchmarks.delivery              # the sink alone
    python -m benchmarks.delivery --process    # k2conn run, as fast as it takes frames
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.endtoend import connected
from benchmarks.peers.programs import SYMBOLS as FEED_SYMBOLS
from benchmarks.peers.programs import Round, engine
from benchmarks.peers.topics import Topics
from benchmarks.processes import Feeding
from k2conn.envelope import Envelope
from k2conn.sinks import SINKS, putter
from k2conn.sinks.journal import Border, border_key, border_value, entry
from k2conn.sinks.kafka.settings import AT_LEAST_ONCE, EXACTLY_ONCE, KafkaSettings
from k2conn.sinks.settings import SinkSettings
from tests.servers import Broker, Registry
from tests.support.sinks import trade

ROUNDS = 7
TRADES = 60_000
AT_ONCE = 50
"""Trades of a read."""
SYMBOLS = 20
SETTLE = 0.5
"""Seconds after the last record came, for what is still to be done for it."""
WITHIN = 120.0
STAMP = 1_767_323_045_678


async def round_of(delivery: str, bootstrap: str, registry: str, envelopes: Sequence[Envelope]) -> float:
    """Microseconds of CPU for each trade of one run at saturation."""
    settings = KafkaSettings(
        bootstrap=bootstrap, registry_url=registry, create_topics=True, partitions=6, delivery=delivery,
        transactional_id="bench", state_topic="bench.state",
    )
    settled = 0

    def settle(batch: Sequence[Envelope]) -> None:
        nonlocal settled
        settled += len(batch)

    sink = SINKS.get("kafka").make(SinkSettings(options=settings), settle, lambda *words: None)
    await sink.open()
    await sink.prepare({envelopes[0].topic: envelopes[0].schema})
    put_all, number = putter(sink), 0
    now = asyncio.get_running_loop().time

    def border() -> None:
        nonlocal number
        if settings.exactly_once:
            number += 1
            value = border_value(Border(settings.incarnation, number))
            put_all([entry(settings.state_topic, border_key(settings.unit), value, STAMP)])

    began, due = time.process_time(), now() + settings.commit_ms / 1000
    for first in range(0, len(envelopes), AT_ONCE):
        put_all(envelopes[first : first + AT_ONCE])
        if now() >= due:
            border()
            due = now() + settings.commit_ms / 1000
        if sink.crowded:
            await sink.drain()
        await asyncio.sleep(0)
    border()
    left = await sink.flush(120)
    spent = time.process_time() - began
    assert not left
    assert settled >= len(envelopes)
    await sink.close()
    return spent / len(envelopes) * 1e6


def sinks(folder: Path) -> dict[str, Any]:
    """The sink alone."""
    topic = f"bench.{uuid.uuid4().hex[:6]}"
    envelopes = [trade(number, topic, f"S{number % SYMBOLS}") for number in range(TRADES)]
    found: dict[str, list[float]] = {AT_LEAST_ONCE: [], EXACTLY_ONCE: []}
    with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
        for number in range(ROUNDS + 1):
            for delivery, spent in found.items():
                one = asyncio.run(round_of(delivery, broker.bootstrap, registry.url, envelopes))
                if number:  # the first one warms up
                    spent.append(one)
    return {"of": "the sink", "trades": TRADES, "rounds": ROUNDS, **_compared(found)}


def processes(folder: Path, rounds: int, frames: int) -> dict[str, Any]:
    """`k2conn run` as a whole, from a loopback WebSocket that sends as fast as it takes, to what is committed."""
    found: dict[str, list[float]] = {AT_LEAST_ONCE: [], EXACTLY_ONCE: []}
    with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
        for number in range(rounds + 1):
            for delivery in sorted(found, reverse=bool(number % 2)):
                own = folder / f"{number}.{delivery}"
                own.mkdir()
                at = Round(own, f"bench.{number}.{delivery}", "", broker.bootstrap, registry.url)
                one = _process_of(at, delivery, frames)
                if number:  # the first one warms the broker up
                    found[delivery].append(one)
    return {"of": "the whole process", "trades": frames, "rounds": rounds, **_compared(found)}


def _process_of(at: Round, delivery: str, frames: int) -> float:
    """Microseconds of CPU for each trade of one run."""
    Topics(at.bootstrap, [at.topic])
    feeder = Feeding(at.folder, "binance", symbols=FEED_SYMBOLS, frames=frames)
    given = {
        "K2_KAFKA_DELIVERY": delivery, "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_STATE_TOPIC": f"{at.topic}.state",
    }
    process = engine(replace(at, url=f"ws://127.0.0.1:{feeder.port}"), environment=given)
    try:
        connected(feeder, process, f"asked {FEED_SYMBOLS}")
        process.quiet()
        before = process.cpu
        feeder.tell(f"go full {frames}")
        _committed(at, frames)
        time.sleep(SETTLE)
        return (process.cpu - before) / frames * 1e6
    finally:
        process.stop()
        feeder.stop()


def _committed(at: Round, frames: int) -> None:
    """Waits until a reader of committed records has read them all. TimeoutError where they do not come."""
    reader = Consumer({"bootstrap.servers": at.bootstrap, "group.id": "none", "enable.auto.commit": False,
                       "isolation.level": "read_committed"})
    reader.assign([TopicPartition(at.topic, 0, OFFSET_BEGINNING)])
    found, end = 0, time.monotonic() + WITHIN
    try:
        while found < frames:
            found += sum(one.error() is None for one in reader.consume(10_000, 0.1))
            if time.monotonic() > end:
                raise TimeoutError(f"{found} of {frames} records were committed in {WITHIN:.0f} s")
    finally:
        reader.close()


def _compared(found: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(found[EXACTLY_ONCE], found[AT_LEAST_ONCE], strict=True)]
    return {
        "us_per_trade": {delivery: round(statistics.median(spent), 2) for delivery, spent in found.items()},
        "ratio": round(statistics.median(ratios), 3), "ratios": [round(one, 3) for one in sorted(ratios)],
    }


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--process", action="store_true", help="the whole process, not the sink alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--frames", type=int, default=300_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(json.dumps(processes(folder, arguments.rounds, arguments.frames) if arguments.process
                         else sinks(folder)))


if __name__ == "__main__":
    main()
