"""The sink of transactions while the cluster comes and goes: no producer is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k2conn.errors import Unreachable
from k2conn.sinks.kafka import exactly_once
from k2conn.sinks.kafka.exactly_once import ExactlyOnceSink
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings


class Producer:
    """It connects, and is abandoned or not."""

    made: list[Producer]

    def __init__(self, settings: KafkaSettings) -> None:
        self.abandoned = False
        self.made.append(self)

    async def connect(self, within: float) -> None:
        pass

    async def abandon(self) -> None:
        self.abandoned = True


def test_a_producer_whose_look_up_failed_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    Producer.made = []
    monkeypatch.setattr(exactly_once, "TransactionalProducer", Producer)
    answers = iter([Unreachable("away"), Unreachable("away"), []])

    async def read_journal(settings: KafkaSettings) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(exactly_once, "read_journal", read_journal)
    options = KafkaSettings(delivery="exactly-once", transactional_id="prices")

    async def run() -> None:
        sink = ExactlyOnceSink(SinkSettings(kind="kafka", options=options), lambda taken: None, lambda one, why: None)
        for _ in range(2):
            with pytest.raises(Unreachable):
                await sink._connected()
        found = await sink._connected()
        assert [one.abandoned for one in Producer.made] == [True, True, False]
        assert found is Producer.made[-1]  # type: ignore[comparison-overlap]
        await sink.close()
        assert all(one.abandoned for one in Producer.made)

    asyncio.run(run())
