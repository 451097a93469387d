"""Kafka as a source: whole processes, a real broker, registry and PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import V2, WIDE, load_schema, use_decimals
from k2conn.avro.reading import read_container
from tests.integration.test_run import environment
from tests.servers import Broker, Postgres, SharedBroker, SharedRegistry
from tests.servers.postgres import Database
from tests.support import warm_process
from tests.support.topics import Consumer, candles, done, filled, made, quotes, registered, trades, wrote

pytestmark = pytest.mark.kafka

NameTopic = Callable[[str], str]
ONCE = "SELECT count(*), count(DISTINCT trade_id), coalesce(max(source_sequence), -1) FROM trades_v2"


def framed(registry: SharedRegistry, name: str, bodies: list[bytes]) -> list[bytes]:
    head = registered(registry, f"{name}-value", load_schema(name.rpartition(".")[2].removesuffix("s")).text)
    return [head + body for body in bodies]


@pytest.mark.parametrize("size", [V2, WIDE], ids=str)
def test_records_of_all_types_into_tables(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path,
    size: Any,
) -> None:
    prefix = kafka_topic("m")
    use_decimals(size)
    try:
        bodies = {"trades": trades(range(500)), "quotes": quotes(range(300)), "candles": candles(range(40))}
        names = {name: f"{prefix}.{name}" for name in bodies}
        made(broker, *names.values(), partitions=3)
        for name, values in bodies.items():
            filled(broker, names[name], framed(registry, names[name], values))
    finally:
        use_decimals(V2)
    with Consumer(tmp_path / "c", broker, registry, f"{prefix}.*", prefix, "--sink", "postgres", "--from-beginning",
                  K2_POSTGRES_DSN=database.dsn, K2_DECIMALS=str(size)) as consumer:
        source = consumer.until(wrote(840))
        metrics = consumer.get("/metrics")
        shown = warm_process.k2conn("status", "--port", consumer.port, env=environment())
        code, summary = consumer.stop()
    assert code == 0, consumer.said
    assert source["assigned"] == 9
    assert {name: one["written"] for name, one in source["topics"].items()} == {
        names["trades"]: 500, names["quotes"]: 300, names["candles"]: 40}
    assert database.query(ONCE) == [["500", "500", "499"]]
    assert database.value("SELECT count(*) FROM quotes_v2") == "300"
    assert database.value("SELECT count(*) FROM candles_v2") == "40"
    scale = 10**size.scale
    assert database.value(f"SELECT sum(price * {scale}) = {sum(6_400_010_000_000 + n for n in range(500))}"
                          " FROM trades_v2") == "t"
    assert summary["source"]["balanced"]
    assert summary["exit_code"] == 0
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "9 partitions, lag 0; consumed 840 = written 840 + dead letters 0" in shown.stdout
    assert f'k2conn_source_written_total{{topic="{names["trades"]}"}} 500.0' in metrics
    assert f'k2conn_source_lag{{group="{prefix}",partition="0",topic="{names["trades"]}"}} 0.0' in metrics


def test_a_few_records_are_looked_at(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic
) -> None:
    """All of them come with the first poll, before their schema is known."""
    topic = kafka_topic("trades")
    made(broker, topic)
    filled(broker, topic, framed(registry, topic, trades(range(30))))
    words = ["run", "--from", "kafka", "--topics", topic, "--group", topic, "--from-beginning", "--sink", "console",
             "--max-records", "10", "--port", "-1", "--kafka", broker.bootstrap, "--registry", registry.url]
    done = warm_process.k2conn(*words, env=environment())
    assert done.returncode == 0, done.stderr
    numbers = [json.loads(line)["record"]["source_sequence"] for line in done.stdout.splitlines()]
    assert numbers == list(range(10))
    assert "consumed 10 = written 10 + dead letters 0 + in flight 0" in done.stderr


def stored(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM trades_v2"))


def test_a_restart_goes_on_where_it_was_and_a_kill_doubles_nothing(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic, partitions=4)
    values = framed(registry, topic, trades(range(60_000)))
    given = (broker, registry, topic, topic, "--sink", "postgres", "--from-beginning")
    seen = 0
    for turn in range(3):
        with Consumer(tmp_path / "c", *given, K2_POSTGRES_DSN=database.dsn, K2_POSTGRES_BATCH_ROWS="500") as consumer:
            consumer.until(lambda source: source["assigned"] == 4)
            for part in range(4):  # only now: a quick consumer would have nothing left to be killed in
                filled(broker, topic, values[turn * 20_000 + part : (turn + 1) * 20_000 : 4], partition=part)
            # What a killed one wrote and did not commit comes again, and is no row more.
            consumer.until(lambda source, before=seen: done(source) > 2000 and stored(database) > before)
            if turn == 1:
                assert consumer.stop()[0] == 0, consumer.said
            else:
                consumer.kill()
        seen = stored(database)
    with Consumer(tmp_path / "c", *given, K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(lambda source: source["assigned"] == 4 and not source["lag"] and (
            all(one["committed"] == 15_000 for one in source["topics"][topic]["partitions"].values())))
        assert consumer.stop()[0] == 0
    assert database.query(ONCE) == [["60000", "60000", "59999"]]


@pytest.mark.deploy
def test_two_processes_share_and_one_is_killed(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic, partitions=6)
    values = framed(registry, topic, trades(range(60_000)))
    given = (broker, registry, topic, topic, "--sink", "postgres", "--from-beginning")
    own = {"K2_POSTGRES_DSN": database.dsn, "K2_POSTGRES_BATCH_ROWS": "500"}
    with Consumer(tmp_path / "a", *given, **own) as one, Consumer(tmp_path / "b", *given, **own) as two:
        one.until(lambda source: source["assigned"] == 3)
        two.until(lambda source: source["assigned"] == 3)
        for part in range(6):
            filled(broker, topic, values[part * 5000 : (part + 1) * 5000], partition=part)
        two.until(lambda source: done(source) > 1000)
        for part in range(6):
            filled(broker, topic, values[30_000 + part * 5000 : 30_000 + (part + 1) * 5000], partition=part)
        two.kill()
        end = one.until(lambda source: source["assigned"] == 6 and not source["lag"] and all(
            part["committed"] == 10_000 for part in source["topics"][topic]["partitions"].values()))
        code, summary = one.stop()
    assert code == 0, one.said
    assert end["balanced"]
    assert summary["source"]["balanced"]
    assert database.query(ONCE) == [["60000", "60000", "59999"]]


def test_what_is_no_record_is_a_dead_letter_with_its_place(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    good = framed(registry, topic, trades(range(10)))
    text = json.dumps({"type": "record", "name": "Other", "namespace": "x", "fields": [{"name": "a", "type": "int"}]})
    lacking = json.dumps({**json.loads(load_schema("trade").text), "fields": [{"name": "price", "type": "double"}]})
    poison: list[bytes | None] = [
        b"\1" + good[0][1:], b"\0\0", None, b"", b"\0" + (2_000_000_000).to_bytes(4, "big") + b"x",
        registered(registry, f"{topic}-other", text) + b"\2",
        registered(registry, f"{topic}-lacking", lacking) + bytes(8),
        good[0][:-3], good[0] + b"\0", good[0][:5], good[1][:40] + b"\xff" * 20,
    ]
    mixed: list[bytes | None] = []
    for at in range(11):
        mixed += [poison[at], *good[at : at + 1]]
    filled(broker, topic, mixed)
    with Consumer(tmp_path / "c", broker, registry, topic, topic, "--from-beginning", "--folder", "out") as consumer:
        consumer.until(wrote(21))
        code, summary = consumer.stop()
    assert code == 0, consumer.said
    folder = tmp_path / "c" / "out"
    records = [one for path in sorted((folder / topic).glob("*.avro")) for one in read_container(path)]
    assert [one["trade_id"] for one in records] == [f"X-{number}" for number in range(10)]
    letters = [json.loads(line) for path in (folder / f"{topic}.dlq").glob("*.jsonl")
               for line in path.read_text().splitlines()]
    assert [one["source"]["offset"] for one in letters] == [at for at, one in enumerate(mixed) if one in poison]
    assert {one["source"]["topic"] for one in letters} == {topic}
    reasons = [one["reason"] for one in letters]
    assert reasons == ["malformed-frame"] * 4 + ["unknown-schema"] * 3 + ["malformed-frame"] * 4
    details = " ".join(one["detail"] for one in letters)
    assert "knows no schema 2000000000" in details
    assert "x.Other, which is no record type here" in details
    assert "its field price is not decimal" in details
    assert summary["source"]["dead_letter_reasons"] == {"malformed-frame": 8, "unknown-schema": 3}
    assert summary["source"]["balanced"]


def test_a_topic_that_appears_later_is_read_from_its_beginning(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("m")
    first, later = f"{prefix}.a.trades", f"{prefix}.b.trades"
    made(broker, first, f"{first}.dlq")
    filled(broker, first, framed(registry, first, trades(range(5))))
    filled(broker, f"{first}.dlq", [b"{}"])
    with Consumer(tmp_path / "c", broker, registry, f"{prefix}.*", prefix, "--folder", "out") as consumer:
        consumer.until(lambda source: source["assigned"] == 1)
        filled(broker, first, framed(registry, first, trades(range(5, 8))))
        consumer.until(wrote(3))
        made(broker, later, partitions=2)
        filled(broker, later, framed(registry, later, trades(range(20))))
        source = consumer.until(wrote(23))
        assert consumer.stop()[0] == 0
    assert {name: one["written"] for name, one in source["topics"].items()} == {first: 3, later: 20}
    assert "begins at its end: 5 records before are not read" in consumer.said


def test_a_writer_with_another_field_and_other_decimals(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    own = load_schema("trade")
    declared = json.loads(own.text)
    declared["fields"].insert(3, {"name": "venue_flag", "type": ["null", "string"], "default": None})
    newer = json.dumps(declared)
    body, (plain,) = b"", trades([1])
    values = own.decode(plain)
    for field in own.fields[:3]:
        text = str(values[field.name]).encode()
        body += bytes([2 * len(text)]) + text
    head = registered(registry, f"{topic}-value", own.text)
    longer = registered(registry, f"{topic}-newer", newer)
    rest = plain[len(body) :]
    use_decimals(WIDE)
    try:
        wide = load_schema("trade")
        wider = [registered(registry, f"{topic}-wide", wide.text) + body for body in (
            *trades([3], wide, price=64_000 * 10**18, quantity=10**18), *trades([4], wide, price=1, quantity=10**18))]
    finally:
        use_decimals(V2)
    filled(broker, topic, [longer + body + b"\0" + rest, head + trades([2])[0], *wider])
    with Consumer(tmp_path / "c", broker, registry, topic, topic, "--from-beginning", "--sink", "postgres",
                  K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(wrote(4))
        assert consumer.stop()[0] == 0
    assert database.query("SELECT source_sequence, price FROM trades_v2 ORDER BY 1") == [
        ["1", "64000.10000001"], ["2", "64000.10000002"], ["3", "64000.00000000"]]
    members = ", ".join(f"document ->> '{name}'" for name in ("reason", "field", "detail"))
    assert database.query(f"SELECT {members} FROM dead_letters") == [
        ["overflow", "price", "it has more than 8 decimals"]]


def test_what_the_sink_refuses_is_a_dead_letter_and_costs_no_other(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    bodies = [*trades(range(50)), *trades([50], symbol="a\0b"), *trades([51, 52])]
    filled(broker, topic, framed(registry, topic, bodies))
    with Consumer(tmp_path / "c", broker, registry, topic, topic, "--from-beginning", "--sink", "postgres",
                  K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(wrote(53))
        assert consumer.stop()[0] == 0
    assert database.value("SELECT count(*) FROM trades_v2") == "52"
    assert database.query("SELECT document ->> 'reason', document -> 'source' ->> 'offset' FROM dead_letters") == [
        ["refused-by-sink", "50"]]


@pytest.mark.deploy
def test_a_registry_that_is_away_is_waited_for(
    broker: SharedBroker, own_registry: Any, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    values = framed(own_registry, topic, trades(range(30)))
    with Consumer(tmp_path / "c", broker, own_registry, topic, topic, "--folder", "out") as consumer:
        consumer.until(lambda source: source["assigned"] == 1)
        own_registry.stop()
        try:
            filled(broker, topic, values)
            consumer.until(lambda source: source["topics"][topic]["in_flight"] == 30)
            time.sleep(1)
            health = consumer.health()
            assert health["status"] == "degraded"
            assert any("schema registry" in one for one in health["waiting_for"])
            assert not done(health["source"])
        finally:
            own_registry.start()
        consumer.until(wrote(30))
        assert consumer.stop()[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--kafka", "127.0.0.1:9"), 69, "kafka 127.0.0.1:9: nothing listens on 127.0.0.1:9"),
        (("--registry", "http://127.0.0.1:9"), 69, "schema registry http://127.0.0.1:9"),
        (("--sink", "kafka"), 2, "does not go into topics again"),
        (("binance",), 2, "connectors have no meaning there"),
        (("--from", "kafk"), 2, "did you mean 'kafka'"),
    ],
)
def test_what_cannot_begin_says_why(
    broker: SharedBroker, registry: SharedRegistry, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    with Consumer(tmp_path / "c", broker, registry, "x.*", "g", *words) as consumer:
        assert consumer.ended()[0] == code
    assert said in consumer.said


def test_a_table_that_was_set_back_is_read_for_again(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(broker, topic)
    filled(broker, topic, framed(registry, topic, trades(range(100))))
    given = (broker, registry, topic, topic, "--sink", "postgres", "--from-beginning")
    with Consumer(tmp_path / "c", *given, K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(wrote(100))
        assert consumer.stop()[0] == 0
    stored = "SELECT consumer_group, topic, partition, record, next_offset FROM source_positions"
    assert database.query(stored) == [[topic, topic, "0", "trade", "100"]]
    database.query("DELETE FROM trades_v2 WHERE source_sequence >= 60")  # as a backup of before would have it
    database.query("UPDATE source_positions SET next_offset = 60")
    with Consumer(tmp_path / "c", *given, K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(wrote(40))
        assert consumer.stop()[0] == 0
    assert "the sink has it up to offset 60 only, the group is at 100" in consumer.said
    assert database.query(ONCE) == [["100", "100", "99"]]
    assert database.query(stored) == [[topic, topic, "0", "trade", "100"]]


@pytest.mark.deploy
def test_a_sink_that_is_away_makes_it_pause_and_stay_a_member(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, own_postgres: Postgres, tmp_path: Path
) -> None:
    own_postgres.query("DROP DATABASE IF EXISTS k2 WITH (FORCE)", "postgres")
    own_postgres.query("CREATE DATABASE k2", "postgres")
    topic, count = kafka_topic("trades"), 120_000  # more than the 32 MiB that may wait
    made(broker, topic, partitions=2)
    values = framed(registry, topic, trades(range(count)))
    with Consumer(tmp_path / "c", broker, registry, topic, topic, "--from-beginning", "--sink", "postgres",
                  K2_POSTGRES_DSN=own_postgres.dsn) as consumer:
        consumer.until(lambda source: source["assigned"] == 2)
        filled(broker, topic, values[:10], partition=0)
        consumer.until(wrote(10))
        own_postgres.kill()
        try:
            filled(broker, topic, values[10 : count // 2], partition=0)
            filled(broker, topic, values[count // 2 :], partition=1)
            source = consumer.until(lambda source: source["lag"] >= count - 10)
            time.sleep(8)  # more than the session timeout
            source = consumer.until(lambda source: source["assigned"] == 2)
            assert source["topics"][topic]["consumed"] < count
            assert any(one.startswith("sink ") for one in consumer.health()["waiting_for"])
        finally:
            own_postgres.start()
        source = consumer.until(wrote(count))
        assert consumer.stop()[0] == 0
    assert source["topics"][topic]["released"] == 0
    assert own_postgres.query(ONCE) == [[str(count), str(count), str(count - 1)]]


@pytest.mark.deploy
def test_a_broker_that_is_killed_is_waited_for(
    own_broker: Broker, registry: SharedRegistry, kafka_topic: NameTopic, database: Database, tmp_path: Path
) -> None:
    topic = kafka_topic("trades")
    made(own_broker, topic, partitions=2)
    values = framed(registry, topic, trades(range(20_000)))
    filled(own_broker, topic, values[:10_000], partition=0)
    with Consumer(tmp_path / "c", own_broker, registry, topic, topic, "--from-beginning", "--sink", "postgres",
                  K2_POSTGRES_DSN=database.dsn) as consumer:
        consumer.until(lambda source: done(source) > 0)
        own_broker.kill()
        time.sleep(2)
        own_broker.start()
        filled(own_broker, topic, values[10_000:], partition=1)
        consumer.until(lambda source: not source["lag"] and source["assigned"] == 2 and all(
            one["committed"] == 10_000 for one in source["topics"][topic]["partitions"].values()))
        assert consumer.stop()[0] == 0, consumer.said
    assert database.query(ONCE) == [["20000", "20000", "19999"]]
