"""What is read, by which names: patterns, variables, contradictions."""

from __future__ import annotations

import re

import pytest

from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import SettingsError
from k2conn.settings.consumer import consumer_settings
from k2conn.settings.unread_variables import unread


@pytest.mark.parametrize(
    ("topics", "topic", "matches"),
    [
        ("market.*", "market.crypto.trades.x", True),
        ("market.*", "marketx", False),
        ("market.*", "a.market.b", False),
        ("market.*", "market.crypto.trades.x.dlq", False),
        ("market.*,*.dlq", "market.crypto.trades.x.dlq", True),
        ("market.crypto.trades.x", "market.crypto.trades.x", True),
        ("market.crypto.trades.x", "market.crypto.trades.xy", False),
        ("market.crypto.trades.x", "marketacryptoatradesax", False),
        ("a?b,c[12]", "c2", True),
        ("a?b,c[12]", "c3", False),
        ("*", "any.topic", True),
        ("*", "any.dlq", False),
    ],
)
def test_patterns_are_those_of_a_shell(topics: str, topic: str, matches: bool) -> None:
    pattern = ConsumerSettings(topics=tuple(topics.split(","))).pattern
    assert (re.match(pattern, topic) is not None) == matches


def test_flags_come_before_the_environment() -> None:
    environment = {"K2_KAFKA_CONSUMER_TOPICS": "a,b", "K2_KAFKA_CONSUMER_GROUP": "g",
                   "K2_KAFKA_BOOTSTRAP_SERVERS": "x:1", "K2_KAFKA_CONSUMER_COMMIT_MS": "2s"}
    found = consumer_settings(environment, group="other", kafka="y:2")
    assert (found.topics, found.group, found.kafka.bootstrap, found.commit_ms) == (("a", "b"), "other", "y:2", 2000)
    assert not unread(environment, [])
    assert unread({"K2_KAFKA_CONSUMER_TOPIC": "a"}, []) == {"K2_KAFKA_CONSUMER_TOPIC": "K2_KAFKA_CONSUMER_TOPICS"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "--topics=: say which topics"),
        ({"K2_KAFKA_CONSUMER_TOPICS": "a/b"}, "K2_KAFKA_CONSUMER_TOPICS='a/b'"),
        ({"K2_KAFKA_CONSUMER_TOPICS": "a", "K2_KAFKA_CONSUMER_FETCH_BYTES": "0"}, "K2_KAFKA_CONSUMER_FETCH_BYTES=0"),
        ({"K2_KAFKA_CONSUMER_TOPICS": "a", "K2_KAFKA_CONSUMER_GROUP": "g" * 300}, "K2_KAFKA_CONSUMER_GROUP="),
        ({"K2_KAFKA_CONSUMER_TOPICS": "a", "K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "sasl_mechanism"),
    ],
)
def test_what_cannot_be_is_told_by_its_name(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        consumer_settings(environment)
    assert words in str(caught.value) or words.upper() in str(caught.value)
