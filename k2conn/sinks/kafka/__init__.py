"""The Kafka sink: Confluent-framed Avro, acknowledged by all replicas, in order per key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from k2conn.envelope import Envelope
from k2conn.sinks.kafka.sink import KafkaSink
from k2conn.sinks.settings import SinkSettings


def make(
    settings: SinkSettings,
    settle: Callable[[Sequence[Envelope]], None],
    reject: Callable[[Envelope, str], None],
) -> KafkaSink:
    """A Kafka sink, not yet open."""
    return KafkaSink(settings, settle, reject)
