"""The Kafka sink: Confluent-framed Avro, acknowledged by all replicas, in order per key."""

from __future__ import annotations

from k2conn.sinks import Reject, Settle, Sink, SinkKind
from k2conn.sinks.kafka.settings import VARIABLES, KafkaSettings
from k2conn.sinks.settings import SinkSettings


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    from k2conn.sinks.kafka.sink import KafkaSink

    return KafkaSink(settings, settle, reject)


SINK = SinkKind(
    "Kafka topics, with a schema registry",
    _make,
    settings=KafkaSettings,
    variables=VARIABLES,
    flags={"kafka": "bootstrap", "registry": "registry_url"},
    implied_by="bootstrap",
    spoolable=True,
    registry=True,
    prefix=lambda options: options.topic_prefix,
)
