"""Record types that do not ship with k2conn, from the command line, over sockets, into files and Kafka."""

from __future__ import annotations

import asyncio
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro.reading import read_container
from k2conn.compiler.compiler import load_plan
from k2conn.plan import Plan
from k2conn.sinks.file import FileSettings
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.mock.exchange import MockExchange
from tests.connectors.test_mock import conversation
from tests.integration.test_run import environment
from tests.kafka.test_end_to_end import (
    NameTopic,
    assert_as_the_file_says,
    assert_read_back,
    frames_of,
    published,
    with_topics,
)
from tests.servers import SharedBroker, SharedRegistry
from tests.support import warm_process
from tests.support.own_records import CONNECTOR, SCHEMAS, known_here

own_records = known_here(SCHEMAS)


@cache
def example() -> Plan:
    """The connector's plan."""
    return load_plan(CONNECTOR)


# -- the commands


def k2conn(*arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn(*arguments, given=text, env=environment(**variables))


def test_the_commands_find_the_folder_in_the_environment() -> None:
    schemas = {"K2_SCHEMAS": str(SCHEMAS)}
    assert k2conn("validate", str(CONNECTOR), **schemas).returncode == 0
    assert k2conn("test", str(CONNECTOR), **schemas).returncode == 0
    told = k2conn("explain", str(CONNECTOR), **schemas)
    assert told.returncode == 0, told.stderr
    assert "is_closed" in told.stdout
    frames = "\n".join(frames_of(example()))
    mapped = k2conn("map", str(CONNECTOR), text=frames, **schemas)
    lines = [json.loads(one) for one in mapped.stdout.splitlines()]
    assert [one["type"] for one in lines] == ["kline", "kline", "status", "status", "sample", "sample"]
    assert [one["record"]["is_closed"] for one in lines[:2]] == [False, True]
    assert mapped.returncode == 65  # one status is a dead letter, as the file's tests say


def test_without_the_folder_the_types_are_unknown() -> None:
    assert "'kline' is no record type" in k2conn("validate", str(CONNECTOR)).stdout
    assert k2conn("list", K2_SCHEMAS="/nowhere").returncode == 2


# -- through a socket to the sinks


def test_every_field_is_read_back_from_files(tmp_path: Path) -> None:
    runner, taken = published(example(), SinkSettings(kind="file", options=FileSettings(folder=tmp_path)))
    own = [one.schema.decode_plain(one.value) for one in taken if one.schema is not None]
    found = [one for path in sorted(tmp_path.glob("*/*.avro")) for one in read_container(path)]
    assert sorted(map(str, found)) == sorted(map(str, own))
    assert len(found) == 6
    assert_as_the_file_says(example(), found)
    assert runner.connectors[0].connector_state.ledger.totals()["published"] == 6


@pytest.mark.kafka
def test_every_field_is_read_back_from_kafka(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    plan = load_plan(with_topics(CONNECTOR, tmp_path, kafka_topic("own")))
    kafka = KafkaSettings(bootstrap=broker.bootstrap, registry_url=registry.url)
    runner, taken = published(plan, SinkSettings(options=kafka))
    assert {envelope.topic.split(".")[-2] for envelope in taken} >= {"klines", "statuses", "samples"}
    assert_as_the_file_says(plan, assert_read_back(broker, registry, runner, taken))


# -- the mock venue


def test_a_mock_venue_prints_them() -> None:
    symbols = ("BTC-USD", "ETH-USD")

    async def main() -> list[tuple[str, dict[str, Any]]]:
        exchange = MockExchange(example(), rate=200, symbols=symbols)
        async with conversation(example(), exchange, symbols) as listener:
            await exchange.wait_for(lambda: len(listener.records) > 40)
            assert listener.dead == []
            return list(listener.records)

    found = asyncio.run(main())
    assert {stream for stream, _ in found} == {"kline", "status", "sample"}
    klines = [one for stream, one in found if stream == "kline" and one["symbol"] == "BTCUSD"]
    assert len({one["close"] for one in klines}) > 1
    assert all(one["open_time"] < one["close_time"] for one in klines)
