"""Dead letters in topics: a broken connector file, the mended one, and each record in its topic once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kafka.test_end_to_end import readable
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.support.plans import HEAD, STREAMS
from tests.support.recordings import k2conn
from tests.support.small_venue import small_venue
from tests.support.venues import CONNECTION

pytestmark = pytest.mark.kafka

TRADES = 50


def test_from_a_broken_file_to_each_record_once(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: Callable[[str], str], tmp_path: Path
) -> None:
    prefix = kafka_topic("m")
    head = HEAD.replace("\nsymbols:", f'\nkafka_topic: "{prefix}.{{data_type}}.{{exchange}}"\nsymbols:', 1)
    spec = tmp_path / "venue.yaml"
    to = ("--kafka", broker.bootstrap, "--registry", registry.url)
    with small_venue() as port:
        spec.write_text(head + CONNECTION % port + STREAMS.replace("price: p", "price: px"))
        done = k2conn(tmp_path, "run", "venue.yaml", "--streams", "trade", *to, "--max-records", TRADES, "--port", "-1",
                      K2_SPOOL="never")
    assert done.returncode == 0, done.stderr
    topics = ("--topics", f"{prefix}.*.dlq")
    listed = k2conn(tmp_path, "dlq", "list", *topics, *to, "--format", "json")
    assert listed.returncode == 0, listed.stderr
    row = json.loads(listed.stdout)
    assert (row["connector"], row["reason"], row["field"], row["items"]) == ("venue", "missing-field", "price", TRADES)

    spec.write_text(spec.read_text().replace("price: px", "price: p"))
    replay = ("dlq", "replay", *topics, *to, "--connector", "venue.yaml")
    dry = k2conn(tmp_path, *replay)
    assert f"{TRADES} records would be published" in dry.stderr, dry.stderr
    sent = k2conn(tmp_path, *replay, "--publish")
    assert sent.returncode == 0, sent.stderr
    assert f"{TRADES} records published" in sent.stderr
    again = k2conn(tmp_path, *replay, "--publish")
    assert f"0 records published; {TRADES} were published before" in again.stderr, again.stderr

    messages = read(broker, f"{prefix}.trades.venue", TRADES)
    found = readable(registry, messages)
    assert sorted(one["trade_id"] for one in found) == sorted(f"VENUE-{number}" for number in range(TRADES))
