"""The test servers are real ones, and behave as the tests of delivery need them to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from tests.paths import ROOT
from tests.servers import Broker, Failed, Missing, Registry, prerequisites
from tests.servers.class_archive import shared_classes
from tests.servers.process import free_port

TRADE = {"type": "record", "name": "Trade", "fields": [{"name": "price", "type": "string"}]}
TopicNames = Callable[[str], str]


@pytest.fixture
def broker(own_broker: Broker) -> Broker:
    """Tests here stop it and pause it."""
    return own_broker


@pytest.fixture
def registry(own_registry: Registry) -> Registry:
    return own_registry


@pytest.mark.kafka
def test_broker_takes_and_gives_back(broker: Broker, kafka_topic: TopicNames) -> None:
    topic = kafka_topic("trades")
    produce(broker, topic, [b"one", b"two"])
    assert consume(broker, topic, 2) == [b"one", b"two"]


@pytest.mark.deploy
@pytest.mark.kafka
def test_acknowledged_records_outlive_a_kill(broker: Broker, kafka_topic: TopicNames) -> None:
    topic, address = kafka_topic("trades"), broker.bootstrap
    produce(broker, topic, [b"before"])
    broker.kill()
    assert not broker.running
    broker.start()
    assert broker.bootstrap == address
    produce(broker, topic, [b"after"])
    assert consume(broker, topic, 2) == [b"before", b"after"]


@pytest.mark.deploy
@pytest.mark.kafka
def test_a_graceful_restart_keeps_the_data(broker: Broker, kafka_topic: TopicNames) -> None:
    topic = kafka_topic("trades")
    produce(broker, topic, [b"before"])
    broker.restart()
    assert consume(broker, topic, 1) == [b"before"]


@pytest.mark.deploy
@pytest.mark.kafka
def test_paused_broker_answers_nothing_until_resumed(broker: Broker, kafka_topic: TopicNames) -> None:
    topic = kafka_topic("trades")
    produce(broker, topic, [b"before"])
    broker.pause()
    try:
        assert broker.running
        with pytest.raises(KafkaException):
            Producer(settings(broker)).list_topics(topic, timeout=1)
    finally:
        broker.resume()
    produce(broker, topic, [b"after"])
    assert consume(broker, topic, 2) == [b"before", b"after"]


@pytest.mark.deploy
@pytest.mark.kafka
def test_broker_started_in_a_thread_outlives_the_thread(broker: Broker) -> None:
    thread = threading.Thread(target=broker.restart)
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert broker.running
    assert broker.answers()


@pytest.mark.deploy
@pytest.mark.kafka
@pytest.mark.skipif(sys.platform != "linux", reason="what a process has mapped is looked up in /proc")
def test_java_maps_the_classes_that_are_kept(broker: Broker, registry: Registry) -> None:
    for server in (broker, registry):
        mapped = f"/{server.name}-" in Path(f"/proc/{server.pid}/maps").read_text()
        assert mapped == bool(shared_classes(server.name)), "`python -m tests.servers --fetch` makes them"


@pytest.mark.deploy
def test_java_does_without_classes_that_do_not_fit(tmp_path: Path) -> None:
    odd = tmp_path / "odd.jsa"
    odd.write_bytes(b"no archive")
    command = [prerequisites.java(), f"-XX:SharedArchiveFile={odd}", "-Xlog:cds*=off", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cds" not in done.stdout + done.stderr


@pytest.mark.deploy
@pytest.mark.kafka
def test_broker_properties_can_be_overridden(tmp_path: Path, kafka_topic: TopicNames) -> None:
    topic = kafka_topic("trades")
    with Broker(tmp_path, {"num.partitions": "3"}) as broker:
        produce(broker, topic, [b"one"])
        found = Producer(settings(broker)).list_topics(topic, timeout=10)
    assert len(found.topics[topic].partitions) == 3
    assert not broker.running


@pytest.mark.deploy
@pytest.mark.kafka
def test_broker_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    with (
        socket.create_server(("127.0.0.1", broker.port)),
        pytest.raises(Failed, match="ended while starting") as failed,
    ):
        broker.start()
    assert f"failed to bind to 127.0.0.1:{broker.port}" in str(failed.value)


@pytest.mark.kafka
def test_refused_property_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"Invalid value -1 for configuration num\.io\.threads"):
        Broker(tmp_path, {"num.io.threads": "-1"}).start()


@pytest.mark.deploy
@pytest.mark.kafka
def test_registry_numbers_schemas_and_keeps_them_over_a_kill(
    registry: Registry, kafka_topic: TopicNames
) -> None:
    subject = f"{kafka_topic('trades')}-value"
    _, first = ask(registry, "POST", f"/subjects/{subject}/versions", schema(TRADE))
    registry.kill()
    registry.start()
    status, again = ask(registry, "GET", f"/schemas/ids/{first['id']}")
    assert status == 200
    assert json.loads(again["schema"])["name"] == "Trade"


@pytest.mark.kafka
def test_registry_refuses_an_incompatible_schema(registry: Registry, kafka_topic: TopicNames) -> None:
    subject = f"{kafka_topic('trades')}-value"
    assert ask(registry, "POST", f"/subjects/{subject}/versions", schema(TRADE))[0] == 200
    assert ask(registry, "PUT", f"/config/{subject}", {"compatibility": "BACKWARD"})[0] == 200

    required = {**TRADE, "fields": [*TRADE["fields"], {"name": "side", "type": "string"}]}
    status, refusal = ask(registry, "POST", f"/subjects/{subject}/versions", schema(required))
    assert (status, refusal["error_code"]) == (409, 409)

    optional = {**TRADE, "fields": [*TRADE["fields"], {"name": "side", "type": "string", "default": ""}]}
    assert ask(registry, "POST", f"/subjects/{subject}/versions", schema(optional))[0] == 200


@pytest.mark.deploy
@pytest.mark.kafka
@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel ends the server with its parent on Linux only"
)
def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.servers import Broker\n"
        "broker = Broker(Path(sys.argv[1])).start(); print(broker.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert is_alive(server)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 60
    while is_alive(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(server)


def test_missing_java_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(Missing, match=r"java is missing.*apt-get install"):
        prerequisites.java.__wrapped__()


def test_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Missing, match=r"too old.*1\.8\.0"):
        prerequisites.java.__wrapped__()


def test_ports_are_free_and_outside_the_clients_range() -> None:
    assert all(20_000 <= free_port() < 32_000 for _ in range(50))


def settings(broker: Broker) -> dict[str, str | int | float | bool]:
    return {"bootstrap.servers": broker.bootstrap, "log_level": 0}


def produce(broker: Broker, topic: str, values: list[bytes]) -> None:
    producer = Producer({**settings(broker), "acks": "all", "enable.idempotence": True})
    failed: list[object] = []
    for value in values:
        producer.produce(
            topic, value, on_delivery=lambda error, _message: failed.append(error) if error else None
        )
    assert producer.flush(60) == 0
    assert not failed


def consume(broker: Broker, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({**settings(broker), "group.id": topic, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        messages = consumer.consume(count, timeout=30)
        return [message.value() for message in messages if message.error() is None]
    finally:
        consumer.close()


def schema(avro: dict[str, Any]) -> dict[str, str]:
    return {"schema": json.dumps(avro)}


def ask(registry: Registry, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """The status and the JSON of one request to the registry."""
    request = urllib.request.Request(
        registry.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def is_alive(process: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
