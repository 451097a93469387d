"""What exactly-once delivery costs beside at-least-once delivery: CPU of the sink for each trade, the same trades into
the same broker, round after round in turn, so that a busy machine is busy for both.

Example:

    python -m benchmarks.delivery
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def main() -> dict[str, Any]:
    """Prints, and returns, what was measured."""
    topic = f"bench.{uuid.uuid4().hex[:6]}"
    envelopes = [trade(number, topic, f"S{number % SYMBOLS}") for number in range(TRADES)]
    found: dict[str, list[float]] = {AT_LEAST_ONCE: [], EXACTLY_ONCE: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
            for number in range(ROUNDS + 1):
                for delivery, spent in found.items():
                    one = asyncio.run(round_of(delivery, broker.bootstrap, registry.url, envelopes))
                    if number:  # the first one warms up
                        spent.append(one)
    ratios = [one / other for one, other in zip(found[EXACTLY_ONCE], found[AT_LEAST_ONCE], strict=True)]
    result = {
        "trades": TRADES, "rounds": ROUNDS,
        "us_per_trade": {delivery: round(statistics.median(spent), 2) for delivery, spent in found.items()},
        "ratio": round(statistics.median(ratios), 3), "ratios": [round(one, 3) for one in sorted(ratios)],
    }
    print(result)
    return result


if __name__ == "__main__":
    main()
