"""The Kafka sink: Confluent-framed Avro, acknowledged by all replicas, in order per key."""

from __future__ import annotations

from collections.abc import Iterable

from k2conn.sinks import Finding, Reject, Settle, Sink, SinkKind
from k2conn.sinks.kafka.settings import VARIABLES, KafkaSettings
from k2conn.sinks.settings import SinkSettings


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    if settings.options.exactly_once:
        from k2conn.sinks.kafka.exactly_once import ExactlyOnceSink

        return ExactlyOnceSink(settings, settle, reject)
    from k2conn.sinks.kafka.sink import KafkaSink

    return KafkaSink(settings, settle, reject)


def _check(options: KafkaSettings) -> list[str]:
    from k2conn.sinks.kafka.probe import wrong_files

    return wrong_files(options)


async def _probe(options: KafkaSettings, topics: Iterable[str]) -> list[Finding]:
    from k2conn.sinks.kafka.probe import probe

    return await probe(options, topics)


SINK = SinkKind(
    "Kafka topics, with a schema registry",
    _make,
    settings=KafkaSettings,
    variables=VARIABLES,
    flags={"kafka": "bootstrap", "registry": "registry_url"},
    implied_by="bootstrap",
    spoolable=True,
    registry=True,
    where=lambda options: options.bootstrap,
    check=_check,
    probe=_probe,
    prefix=lambda options: options.topic_prefix,
    journal=lambda options: options.journal,
)
