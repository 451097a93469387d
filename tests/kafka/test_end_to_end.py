"""From an exchange's frames to a stranger's reader: real sockets, a real broker, a real registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from websockets.asyncio.server import ServerConnection, serve

from k2conn.compiler.compiler import load_plan
from k2conn.engine.conversation.request_frames import frame_text
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.records import TIMES, load_record
from k2conn.resources import connectors_folder
from k2conn.runner import Job, Overrides, Runner
from k2conn.sinks import make_sink, putter
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.tools.connector_tests import same_field
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer
from tests.integration.test_run import environment
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support import warm_process

pytestmark = pytest.mark.kafka

NAMES = ("kraken", "binance", "coinbase")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NameTopic = Callable[[str], str]


def own_topics(name: str, folder: Path, prefix: str) -> Path:
    """A shipped connector file, but for its topics, which are this test's."""
    return with_topics(connectors_folder() / f"{name}.yaml", folder, prefix)


def with_topics(file: Path, folder: Path, prefix: str) -> Path:
    """The same for any connector file."""
    text, path = file.read_text(), folder / file.name
    path.write_text(text.replace("\nsymbols:", f'\nkafka_topic: "{prefix}.{{data_type}}.{{exchange}}"\nsymbols:', 1))
    return path


def readable(registry: SharedRegistry, messages: list[Message]) -> list[dict[str, Any]]:
    """What a reader that we did not write makes of them."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        deserialize = AvroDeserializer(client)
        found = []
        for message in messages:
            topic = message.topic()
            assert topic is not None
            found.append(deserialize(message.value(), SerializationContext(topic, MessageField.VALUE)))
    return found


def plain(value: Any, kind: str) -> Any:
    """A reader's value of a field of such a kind in the notation of our own plain records."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=TIMES[kind])
    if isinstance(value, date):
        return (value - EPOCH.date()).days
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value


# -- the frames of the connectors' own tests, every field


def frames_of(plan: Plan) -> list[str]:
    return [
        frame_text(turn.value) for example in plan.tests for turn in example.dialogue if turn.kind == "received"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_every_record(
    name: str, broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    plan = load_plan(own_topics(name, tmp_path, kafka_topic("e")))
    kafka = KafkaSettings(bootstrap=broker.bootstrap, registry_url=registry.url)
    runner, taken = published(plan, SinkSettings(options=kafka))
    records = [envelope for envelope in taken if envelope.schema is not None]
    assert {envelope.topic.split(".")[-2] for envelope in records} >= {"trades", "quotes"}
    assert_as_the_file_says(plan, assert_read_back(broker, registry, runner, taken))
    assert_dead(broker, taken, runner)


def published(plan: Plan, settings: SinkSettings) -> tuple[Runner, list[Envelope]]:
    """What goes to the sink of the frames in a connector's tests and a broken one: a venue sends them over a socket."""
    frames = [*frames_of(plan), "{ broken"]
    taken: list[Envelope] = []

    def open_sink(settings: SinkSettings, settle: Any, reject: Any) -> Any:
        sink = make_sink(settings, settle, reject)
        put_all = putter(sink)

        def noted(envelopes: Sequence[Envelope]) -> None:
            taken.extend(envelopes)
            put_all(envelopes)

        sink.put_all = noted  # type: ignore[attr-defined]
        return sink

    async def talk(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        await socket.wait_closed()

    async def main() -> Runner:
        async with serve(talk, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            job = Job(plan, None, tuple(stream.name for stream in plan.streams),
                      Overrides(urls=(f"ws://127.0.0.1:{port}",)))
            runner = Runner([job], settings, open_sink=open_sink)
            stop = asyncio.Event()
            running = asyncio.create_task(runner.run(stop))
            async with asyncio.timeout(60):
                while not any(envelope.schema is None for envelope in taken):
                    await asyncio.sleep(0.02)
                    assert not running.done(), running.result()
            stop.set()
            assert (await running).exit_code == 0
        return runner

    return asyncio.run(main()), taken


def assert_read_back(
    broker: SharedBroker, registry: SharedRegistry, runner: Runner, taken: Sequence[Envelope]
) -> list[dict[str, Any]]:
    """Every record is in Kafka, and a reader that we did not write finds every field as it was sent; all of them."""
    expected = {}
    for envelope in taken:
        if envelope.schema is not None:
            record = envelope.schema.decode_plain(envelope.value)
            expected[record["message_id"]] = (envelope, record)
    topics = {envelope.topic for envelope, _ in expected.values()}
    messages = [
        message for topic in topics
        for message in read(broker, topic, sum(envelope.topic == topic for envelope, _ in expected.values()))
    ]
    assert len(messages) == len(expected) == runner.connectors[0].connector_state.ledger.totals()["published"]
    for message, record in zip(messages, readable(registry, messages), strict=True):
        envelope, own = expected[record["message_id"]]
        assert envelope.schema is not None
        fields = {field.name: field.kind for field in envelope.schema.fields}
        assert {name: plain(value, fields[name]) for name, value in record.items()} == own
        assert message.topic() == envelope.topic
        assert message.key() == own["symbol"].encode()
        assert message.timestamp()[1] == envelope.timestamp_ms
    return [own for _, own in expected.values()]


def assert_as_the_file_says(plan: Plan, records: list[dict[str, Any]]) -> None:
    """Every record that the file's tests promise is there."""
    kinds = {field.name: field.kind for one in plan.streams for field in load_record(one.record).schema.fields}
    for example in plan.tests:
        for turn in example.dialogue:
            for promised in turn.records or ():
                fields = {name: value for name, value in promised.items() if name != "vendor_data"}
                assert any(
                    all(same_field(kinds.get(name, ""), value, record.get(name)) for name, value in fields.items())
                    for record in records
                ), promised


def assert_dead(broker: SharedBroker, taken: list[Envelope], runner: Runner) -> None:
    """The broken frame is a dead letter that says all about itself."""
    (envelope,) = [one for one in taken if one.schema is None]
    assert envelope.topic.endswith(".dlq")
    (message,) = read(broker, envelope.topic, 1)
    value = message.value()
    assert value is not None
    letter = json.loads(value)
    assert (letter["frame"], letter["reason"], letter["stream"]) == ("{ broken", "malformed-frame", "-")
    totals = runner.connectors[0].connector_state.ledger.totals()
    assert (totals["dead_letters"], totals["in_flight"], totals["lost"]) == (1, 0, 0)
    assert totals["received"] == totals["published"] + totals["duplicates"] + totals["dead_letters"]


# -- the process, configured by its environment alone


def test_three_exchanges_by_environment_alone(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("e")
    (tmp_path / "connectors").mkdir()
    plans = [load_plan(own_topics(name, tmp_path / "connectors", prefix)) for name in NAMES]
    exchanges = [MockExchange(plan, rate=50) for plan in plans]

    async def main() -> tuple[int | None, str]:
        async with MockServer(exchanges):
            urls = {f"K2_{one.plan.name.upper()}_WEBSOCKET_URL": one.url() for one in exchanges}
            urls |= {f"K2_{one.plan.name.upper()}_HTTP_URL": one.http_url for one in exchanges if one.http_url}
            enabled = {f"K2_{one.plan.name.upper()}_ENABLED": "true" for one in exchanges}
            process = await warm_process.executed(
        "run", "--daemon", "--duration", "6s", "--summary", "sum.json",
                cwd=tmp_path, stderr=asyncio.subprocess.PIPE,
                env=environment(
                    **urls, **enabled, K2_METRICS_PORT="0", K2_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap,
                    K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url, K2_KAFKA_CREATE_TOPICS="true", K2_KAFKA_PARTITIONS="3",
                ),
            )
            _, said = await asyncio.wait_for(process.communicate(), 60)
            return process.returncode, said.decode()

    code, said = asyncio.run(main())
    assert code == 0, said
    summary = json.loads((tmp_path / "sum.json").read_text())
    for exchange in exchanges:
        books = summary["connectors"][exchange.plan.name]
        assert books["balanced"]
        assert books["published"] > 0
        assert books["in_flight"] == books["lost"] == books["dead_letters"] == 0
        topics = {stream.name: stream.kafka_topic for stream in exchange.plan.streams if stream.default}
        messages = {name: read(broker, topic, 1) for name, topic in topics.items()}
        assert sum(map(len, messages.values())) == books["published"]
        records = readable(registry, messages["trade"])
        assert {record["exchange"] for record in records} == {exchange.plan.exchange}
        for (stream, symbol), ids in exchange.sent.items():
            if stream == "trade":
                own = [record for record in records if record["vendor_data"]["native_symbol"] == symbol]
                got = [record["trade_id"].partition("-")[2] for record in own]
                assert got == ids[: len(got)]  # in order, none missing, none twice
                assert len(got) >= 0.9 * len(ids)  # the last ones were under way when it stopped
