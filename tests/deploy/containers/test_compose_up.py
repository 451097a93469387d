"""`docker compose up`, by the real compose, of docker-compose.yml as it is: a venue's records go through every service.

The images of others are stand-ins (`tests/support/stand_ins.py`), and the venue is one of our own, on k2conn's network.
The tests of this file follow one another, as somebody would who tries the page docs/operations.md. The next `up` is
told not to make anew what runs: compose would do so each time, as podman gives a network another name than it expects.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.paths import ROOT
from tests.support.compose import ALL, PROJECT, Engine
from tests.support.containers import Containers
from tests.support.images import IMAGE, until
from tests.support.stand_ins import stand_in

pytestmark = pytest.mark.deploy

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
LIMITS = """cat /proc/1/status
cd /sys/fs/cgroup
cat memory.max cpu.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null
true"""
UP = ("up", "--detach", "--wait", "--wait-timeout=200", "--no-recreate")
TOPICS = [f"market.crypto.{kind}.kraken" for kind in ("trades", "quotes")]
# A reader that is not ours, at the ports that are published.
READ = """import json, sys
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
topic = sys.argv[1]
reader = Consumer({"bootstrap.servers": "localhost:9092", "group.id": topic, "auto.offset.reset": "earliest"})
reader.subscribe([topic])
decode = AvroDeserializer(SchemaRegistryClient({"url": "http://localhost:8081/apis/ccompat/v7"}))
for message in reader.consume(20, timeout=60):
    assert message.error() is None, message.error()
    record = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
    print(json.dumps([message.key().decode(), record["exchange"], record["symbol"]]))
reader.close()
"""
ENDS = """import json, sys
from confluent_kafka import Consumer, TopicPartition
reader = Consumer({"bootstrap.servers": "localhost:9092", "group.id": "counter"})
topics = {name: list(one.partitions) for name, one in reader.list_topics(timeout=30).topics.items()}
print(json.dumps({name: sum(reader.get_watermark_offsets(TopicPartition(name, part), timeout=30)[1] for part in parts)
                  for name, parts in topics.items() if not name.startswith("_")}))
"""


@pytest.fixture(scope="module")
def engine(image: Containers, complete: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Broker, registry and k2conn, up and healthy."""
    stand_in(image, SERVICES, tmp_path_factory.mktemp("stand-ins"))
    mock = ("mock", "kraken", "--port", "9985")
    said = subprocess.run(image.run_command("--rm", IMAGE, *mock, "--duration", "1s"), capture_output=True, text=True,
                          timeout=60, check=True)
    name, _, address = said.stdout.strip().partition("=")
    venue = {"image": "k2conn", "network_mode": "service:k2conn", "command": mock, "healthcheck": {"disable": True},
             "read_only": True, "tmpfs": ["/tmp"]}
    more = {"services": {"k2conn": {"environment": {name: address}}, "venue": venue}}
    with Engine(image, tmp_path_factory.mktemp("engine"), more, K2_CONNECTORS="kraken") as found:
        found.compose("up", "--detach", "--wait", "--wait-timeout=200")
        yield found


def inspected(engine: Engine, service: str) -> Any:
    return engine.asked(f"/v1.40/containers/{PROJECT}-{service}-1/json")


def ends(engine: Engine) -> dict[str, int]:
    """How many records the broker has, by topic."""
    done = subprocess.run(engine.inside(sys.executable, "-c", ENDS), capture_output=True, text=True, timeout=90,
                          check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def published(engine: Engine) -> int:
    return int(json.loads(engine.get("http://127.0.0.1:9091/health"))["connectors"]["kraken"]["published"])


def test_all_are_up_and_healthy(engine: Engine) -> None:
    states = engine.states()
    assert set(states) == {"kafka", "registry", "k2conn", "venue"}
    for name in ("kafka", "registry", "k2conn"):
        assert (states[name]["State"], states[name]["Health"]) == ("running", "healthy"), states[name]
        assert inspected(engine, name)["RestartCount"] == 0
    begun = {name: inspected(engine, name)["State"]["StartedAt"] for name in ("kafka", "registry", "k2conn")}
    assert max(begun, key=lambda name: begun[name]) == "k2conn"


@pytest.mark.parametrize("topic", TOPICS)
def test_records_are_read_back_at_the_published_ports(engine: Engine, topic: str) -> None:
    done = subprocess.run(engine.inside(sys.executable, "-c", READ, topic), capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 20
    assert {(key, symbol) for key, _, symbol in rows} <= {("BTCUSD",) * 2, ("ETHUSD",) * 2}
    assert {exchange for _, exchange, _ in rows} == {"KRAKEN"}


def test_limits_and_rights_are_those_of_the_file(engine: Engine) -> None:
    host = inspected(engine, "k2conn")["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"]) == (512 * 2**20, 256 * 2**20)
    assert host["ReadonlyRootfs"] is True
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    # What the kernel says, which is what counts.
    seen = engine.compose("exec", "-T", "k2conn", "sh", "-c", LIMITS)
    lines = seen.split("\n")
    assert str(512 * 2**20) in lines
    assert "50000 100000" in seen or "50000\n100000" in seen
    said = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert (int(said["CapEff"], 16), said["NoNewPrivs"], said["Uid"].split()[0]) == (0, "1", "10001")


def test_stopping_hands_over_all_within_the_time_for_it(engine: Engine) -> None:
    began = time.monotonic()
    engine.compose("stop", "venue", "k2conn")
    assert time.monotonic() - began < 30  # its stop_grace_period
    assert inspected(engine, "k2conn")["State"]["ExitCode"] == 0
    lines = engine.log_lines("k2conn")
    last = next(line for line in reversed(lines) if line.get("connector") == "kraken" and "published" in line)
    assert (last["received"], last["lost"], last["in_flight"]) == (last["published"] + last["duplicates"], 0, 0)
    assert sum(ends(engine).values()) == last["published"] > 0


def test_it_goes_on_after_a_new_start(engine: Engine) -> None:
    before = sum(ends(engine).values())
    engine.compose("start", "k2conn", "venue")
    until(lambda: engine.states()["k2conn"]["Health"] == "healthy", within=90)
    until(lambda: published(engine) > 50)
    until(lambda: sum(ends(engine).values()) > before + 50)


def test_prometheus_sees_it_and_knows_its_alertmanager(engine: Engine) -> None:
    engine.compose("--profile=monitoring", *UP, "prometheus", "alertmanager")
    asked = "http://127.0.0.1:9090/api/v1/query?query=streaming_messages_received_total"
    series = until(lambda: json.loads(engine.get(asked))["data"]["result"], within=60)
    assert [one["metric"]["source"] for one in series] == ["kraken"]
    assert float(series[0]["value"][1]) > 0
    known = json.loads(engine.get("http://127.0.0.1:9090/api/v1/alertmanagers"))["data"]["activeAlertmanagers"]
    assert [one["url"] for one in known] == ["http://alertmanager:9093/api/v2/alerts"]
    assert json.loads(engine.get("http://127.0.0.1:9093/api/v2/status"))["config"]["original"]
    engine.compose("--profile=monitoring", "rm", "--stop", "--force", "prometheus", "alertmanager")


def test_records_go_by_kafka_into_the_lake_and_out_of_the_api(engine: Engine) -> None:
    engine.compose("--profile=api", *UP)
    assert {engine.states()[name]["Health"] for name in ("lake", "api", "lake-writer")} == {"healthy"}
    assert inspected(engine, "lake-writer")["RestartCount"] == 0
    asked = "http://127.0.0.1:8000/v1/trades?symbol=BTCUSD&limit=5"
    trades = until(lambda: json.loads(engine.get(asked, X_API_Key="only-on-this-machine"))["data"], within=90)
    assert {(one["exchange"], one["symbol"]) for one in trades} == {("KRAKEN", "BTCUSD")}
    with pytest.raises(AssertionError, match=": 6 "):
        engine.get(asked)  # wget's exit code for 401
    engine.compose("--profile=api", "stop", "api", "lake-writer", "lake")


def test_it_writes_into_the_database_of_the_profile(engine: Engine) -> None:
    engine.compose("--profile=postgres", *UP, "postgres")
    engine.compose("rm", "--stop", "--force", "venue")  # podman removes nothing whose network another one is on
    engine.compose("up", "--detach", "--no-deps", "--force-recreate", "k2conn", K2_SINK="postgres")
    engine.compose(*UP, "--no-deps", "venue", K2_SINK="postgres")
    ask = ("exec", "-T", "postgres", "psql", "-XAtq", "-h", "/var/run/postgresql", "-U", "k2", "market", "-c",
           "SELECT count(*) > 20, min(exchange), max(exchange) FROM trades_v2")
    until(lambda: engine.tried("--profile=postgres", *ask).stdout.strip() == "t|KRAKEN|KRAKEN")
    until(lambda: engine.states()["k2conn"]["Health"] == "healthy")


def test_down_leaves_nothing_but_the_volumes_and_those_if_asked(engine: Engine) -> None:
    began = time.monotonic()
    engine.compose(*ALL, "down")
    assert time.monotonic() - began < 60
    ours = f'?all=1&filters={{"label":["com.docker.compose.project={PROJECT}"]}}'
    assert engine.asked(f"/v1.40/containers/json{ours}") == []
    kept = {one["Name"] for one in engine.asked(f"/v1.40/volumes{ours}")["Volumes"]}
    assert {f"{PROJECT}_{name}" for name in ("kafka", "k2conn", "postgres")} <= kept
    engine.compose(*ALL, "down", "--volumes")
    assert engine.asked(f"/v1.40/volumes{ours}")["Volumes"] == []
