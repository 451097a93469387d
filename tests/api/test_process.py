"""From a venue's frame to an answer: the engine, a sink, and `k2conn serve`, each a process of its own."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.test_stream import Events, until
from tests.integration.test_run import environment
from tests.kafka.test_broker_away import VENUE
from tests.servers import SharedBroker, SharedRegistry
from tests.servers.postgres import Database
from tests.support import warm_process
from tests.support.api import Serving
from tests.support.plans import HEAD, STREAMS
from tests.support.small_venue import venue_process
from tests.support.venues import CONNECTION

WITHIN = 10.0
"""Seconds from the start of the engine to the answer."""
ASKED = {"symbol": "BTCUSD", "side": "sell", "currency": "usd", "limit": 5}


@pytest.fixture(scope="module")
def venue() -> Iterator[int]:
    """The port of a venue that sends 250 trades a second, each with the next number and of now."""
    text = VENUE.replace("trade(next(numbers))", "trade(next(numbers), t=time.time_ns() // 1_000_000)")
    text = text.replace("import asyncio,", "import time, asyncio,")
    with venue_process(text) as port:
        yield port


def engine(folder: Path, port: int, *words: str, topic: str = "", **variables: str) -> subprocess.Popen[bytes]:
    file = folder / "venue.yaml"
    file.write_text(HEAD + (f'kafka_topic: "{topic}.{{data_type}}"\n' if topic else "") + CONNECTION % port + STREAMS)
    return warm_process.started(
        "run", file, "--streams", "trade", "--port", "-1", "--duration", "60s", *words, cwd=folder,
        env=environment(**variables), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


@pytest.mark.deploy
@pytest.mark.alone
def test_a_trade_is_asked_for_by_symbol_side_and_currency_within_seconds(
    database: Database, venue: int, tmp_path: Path
) -> None:
    with Serving(tmp_path, "--store", "postgres", K2_POSTGRES_DSN=database.dsn) as serving:
        assert serving.get("/v1/trades", **ASKED).json == {"data": [], "next": None}, "there are no tables yet"
        events = Events(serving, "kind=trades&side=sell")
        began = time.monotonic()
        running = engine(tmp_path, venue, "--sink", "postgres", K2_POSTGRES_DSN=database.dsn)
        try:
            until(lambda: len(serving.get("/v1/trades", **ASKED).json["data"]) == 5, WITHIN)
            took = time.monotonic() - began
            trade = serving.get("/v1/trades", **ASKED).json["data"][0]
            assert (trade["symbol"], trade["side"], trade["currency"], trade["price"]) == ("BTCUSD", "SELL", "USD",
                                                                                          "64000.1")
            until(lambda: len(events.events) > 20)
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
            events.close()
    assert took < WITHIN


@pytest.mark.kafka
def test_what_is_in_kafka_and_in_no_store_yet_is_recent_and_live(
    broker: SharedBroker, registry: SharedRegistry, venue: int, tmp_path: Path
) -> None:
    topic = f"api-{time.time_ns():x}"
    kafka = {"K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url}
    with Serving(tmp_path, K2_API_TOPICS=f"{topic}.*", **kafka) as serving:
        running = engine(tmp_path, venue, topic=topic, K2_KAFKA_CREATE_TOPICS="true",
                         K2_SPOOL_FOLDER=str(tmp_path / "spool"), **kafka)
        try:
            events = Events(serving, "kind=trades")
            until(lambda: len(events.events) > 100, 60)
            recent = serving.get("/v1/trades/recent", limit=2000, window_minutes=60).json
            assert serving.get("/v1/trades").json["data"] == []
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
            events.close()
    assert recent["live"] is True
    ids = [one["message_id"] for one in recent["data"]]
    assert len(ids) == len(set(ids)) > 50
    heard = [one["id"] for one in events.events]
    assert len(heard) == len(set(heard)), "each once"
    times = [one["timestamp"] for one in recent["data"]]
    assert times == sorted(times, reverse=True)
