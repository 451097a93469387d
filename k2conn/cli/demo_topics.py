"""What `k2conn demo --kafka` does with topics: their records go into the demo's own sink while the exchanges play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from k2conn.cli.messages import show
from k2conn.clock import monotonic
from k2conn.consumer.consumption import Consumption, ConsumptionOutcome
from k2conn.consumer.settings import ConsumerSettings
from k2conn.sinks.settings import SinkSettings

PREFIX = "demo."
"""Before the names of the demo's topics: what is made up never stands among what is real."""
GROUP = "k2conn-demo"
_WITHIN = 30.0
"""Seconds without a record more, after which no more are waited for."""
_LOOK_EVERY = 0.1


class TopicReader:
    """A consumption that runs beside."""

    def __init__(self, consumption: Consumption, running: asyncio.Task[ConsumptionOutcome]) -> None:
        self._consumption = consumption
        self._running = running

    async def has_written(self, records: int) -> bool:
        """Waits until so many records of the topics are durable; false where no more come."""
        written, since = 0, monotonic()
        while written < records and not self._running.done() and monotonic() - since < _WITHIN:
            await asyncio.sleep(_LOOK_EVERY)
            if (now := self._consumption.accounts.totals()["written"]) > written:
                written, since = now, monotonic()
        show("", f"What was read back from Kafka: {self._consumption.accounts.equation()}")
        return written >= records


@asynccontextmanager
async def from_topics(settings: ConsumerSettings | None, sink: SinkSettings) -> AsyncIterator[TopicReader | None]:
    """Reads topics into a sink until the block ends; nothing where there are no settings."""
    if settings is None:
        yield None
        return
    stop = asyncio.Event()
    consumption = Consumption(settings, sink)
    running = asyncio.create_task(consumption.run(stop), name="demo-topics")
    try:
        yield TopicReader(consumption, running)
    finally:
        stop.set()
        await running
