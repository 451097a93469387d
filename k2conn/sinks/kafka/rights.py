"""Which right of Kafka is missing, said as an administrator grants it."""

from __future__ import annotations

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]

from k2conn.sinks.kafka.settings import KafkaSettings


def missing_right(error: BaseException, topic: str, settings: KafkaSettings) -> str:
    """The right that an error says is missing; empty where it says something else."""
    where = f"kafka {settings.bootstrap}"
    if isinstance(error, kafka_errors.TransactionalIdAuthorizationFailed):
        return (
            f"{where} refuses transactions: the right to Write and Describe on transactional id "
            f"{settings.unit} is missing"
        )
    if isinstance(error, kafka_errors.TopicAuthorizationFailedError):
        return f"{where}: the right to Describe, DescribeConfigs, Read and Write on topic {topic} is missing ({error})"
    if isinstance(error, kafka_errors.ClusterAuthorizationFailedError):
        return (
            f"{where}: the right to IdempotentWrite on the cluster, or to Create topic {topic}, is missing"
        )
    return ""
