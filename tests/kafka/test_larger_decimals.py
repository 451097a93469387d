"""K2_DECIMALS=38,18 and the registry's owner: a whole process, a real broker and registry, Confluent's reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.integration.test_run import run
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_servers import ask
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.large_numbers import QUOTES, SYMBOL, TRADES, binance
from tests.support.lists import shown_list

pytestmark = pytest.mark.kafka
opener = build_opener(ProxyHandler({}))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with binance() as url:
        yield url


def published(folder: Path, file: Path, address: str, broker: Any, registry: Any, **variables: str) -> Any:
    return run(
        folder, file, "--symbols", SYMBOL, "--max-records", 4, "--duration", "30s", "--port", -1,
        K2_BINANCE_WEBSOCKET_URL=address, K2_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap,
        K2_KAFKA_SCHEMA_REGISTRY_URL=registry.url, **shown_list(folder, "binance"), **variables,
    )


def subjects(registry: SharedRegistry, topic: str) -> dict[str, str]:
    """The precision of the first decimal under each subject of a topic."""
    with opener.open(f"{registry.url}/subjects", timeout=60) as response:
        names = [one for one in json.load(response) if topic in one]
    found = {}
    for name in names:
        with opener.open(f"{registry.url}/subjects/{name}/versions/latest", timeout=60) as response:
            fields = json.loads(json.load(response)["schema"])["fields"]
        found[name] = next(
            f"{one['type']['precision']},{one['type']['scale']}" for one in fields
            if isinstance(one["type"], dict) and one["type"].get("logicalType") == "decimal"
        )
    return found


def test_exact_numbers_and_topics_of_their_own(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str
) -> None:
    prefix = kafka_topic("e")
    file = own_topics("binance", tmp_path, prefix)
    trades = f"{prefix}.trades.binance"

    # a platform with v2's decimals is there first
    done = published(tmp_path, file, address, broker, registry)
    assert done.returncode == 0, done.stderr
    assert subjects(registry, f"{trades}-") == {f"{trades}-value": "18,8"}

    # the same topics with other decimals are refused, before anything is sent
    done = published(tmp_path, file, address, broker, registry, K2_DECIMALS="38,18")
    assert done.returncode == 69, done.stderr
    assert f"{trades}-value has price as decimal(18,8)" in done.stderr
    assert "K2_KAFKA_TOPIC_PREFIX" in done.stderr
    assert subjects(registry, f"{trades}-") == {f"{trades}-value": "18,8"}

    # topics of their own
    done = published(
        tmp_path, file, address, broker, registry, K2_DECIMALS="38,18", K2_KAFKA_TOPIC_PREFIX="exact."
    )
    assert done.returncode == 0, done.stderr
    own = f"exact.{trades}"
    assert subjects(registry, own) == {f"{own}-value": "38,18"}
    found = readable(registry, read(broker, own, 3))
    assert [(one["trade_id"], one["price"], one["quantity"]) for one in found] == TRADES
    quotes = readable(registry, read(broker, f"exact.{prefix}.quotes.binance", 1))
    assert [(one["bid_price"], one["bid_quantity"], one["ask_price"], one["ask_quantity"]) for one in quotes] == QUOTES


def test_subjects_of_their_own(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str
) -> None:
    prefix = kafka_topic("e")
    file = own_topics("binance", tmp_path, prefix)
    trades = f"{prefix}.trades.binance"
    for size in ("18,8", "38,18"):
        done = published(
            tmp_path, file, address, broker, registry, K2_DECIMALS=size, K2_KAFKA_SUBJECT="{topic}-{decimals}-value",
        )
        assert done.returncode == 0, done.stderr
    assert subjects(registry, trades) == {f"{trades}-18-8-value": "18,8", f"{trades}-38-18-value": "38,18"}
    found = readable(registry, read(broker, trades, 4))  # each record names its schema: both are read rightly
    assert {(one["trade_id"], one["price"], one["quantity"]) for one in found} == {*TRADES}


def test_a_registry_that_is_looked_up_only(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str
) -> None:
    prefix = kafka_topic("e")
    file = own_topics("binance", tmp_path, prefix)
    trades = f"{prefix}.trades.binance"
    quiet = {"K2_KAFKA_SCHEMA_REGISTER": "false"}
    done = published(tmp_path, file, address, broker, registry, **quiet)
    assert done.returncode == 69
    assert f"the schema is not registered under {prefix}" in done.stderr
    assert subjects(registry, prefix) == {}
    assert published(tmp_path, file, address, broker, registry).returncode == 0
    with opener.open(f"{registry.url}/subjects/{trades}-value/versions", timeout=60) as response:
        versions = json.load(response)
    done = published(tmp_path, file, address, broker, registry, **quiet)
    assert done.returncode == 0, done.stderr
    assert "is schema" in done.stderr
    with opener.open(f"{registry.url}/subjects/{trades}-value/versions", timeout=60) as response:
        assert json.load(response) == versions


def test_an_owners_rule_stays_and_is_told(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str
) -> None:
    prefix = kafka_topic("e")
    file = own_topics("binance", tmp_path, prefix)
    subject = f"{prefix}.trades.binance-value"
    assert published(tmp_path, file, address, broker, registry).returncode == 0
    assert ask(registry, "PUT", f"/config/{subject}", {"compatibility": "FULL_TRANSITIVE"})[0] == 200
    done = published(tmp_path, file, address, broker, registry)
    assert done.returncode == 0, done.stderr
    assert f"{subject} is schema" in done.stderr
    assert "compatibility FULL_TRANSITIVE" in done.stderr
    assert ask(registry, "GET", f"/config/{subject}")[1]["compatibilityLevel"] == "FULL_TRANSITIVE"
    done = published(tmp_path, file, address, broker, registry, K2_KAFKA_COMPATIBILITY="BACKWARD")
    assert done.returncode == 0, done.stderr
    assert ask(registry, "GET", f"/config/{subject}")[1]["compatibilityLevel"] == "BACKWARD"


def test_the_next_address_is_taken_where_the_first_is_dead(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path, address: str
) -> None:
    prefix = kafka_topic("e")
    file = own_topics("binance", tmp_path, prefix)
    both = f"http://127.0.0.1:9,{registry.url}"
    done = run(
        tmp_path, file, "--symbols", SYMBOL, "--max-records", 4, "--duration", "30s", "--port", -1, "--kafka",
        broker.bootstrap, "--registry", both, K2_BINANCE_WEBSOCKET_URL=address,
        **shown_list(tmp_path, "binance"),
    )
    assert done.returncode == 0, done.stderr
    assert len(readable(registry, read(broker, f"{prefix}.trades.binance", 1))) == 1
