"""Sink settings refuse contradictions when they are made, all at once and in clear words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn.errors import SettingsError
from k2conn.sinks import SINKS, make_sink
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings

SASL: dict[str, Any] = {"security_protocol": "SASL_SSL", "username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"acks": "1"}, "contradicts the idempotent producer"),
        ({"acks": "0", "idempotent": False}, "acks=0"),
        ({"compression": "brotli"}, "known are none, gzip, snappy, lz4, zstd"),
        ({"compatibility": "BACKWARDS"}, "compatibility='BACKWARDS'"),
        ({"linger_ms": -1}, "linger_ms=-1 is below 0"),
        ({"batch_bytes": 0}, "batch_bytes=0 is not above 0"),
        ({"batch_bytes": 2**21}, "is above max_request_bytes"),
        ({"delivery_timeout_ms": 30_000}, "is below request_timeout_ms"),
        ({"open_timeout": 0}, "open_timeout=0 is not above 0"),
        ({"partitions": 0}, "partitions=0 is not above 0"),
        ({"bootstrap": "localhost"}, "'localhost' is not host:port"),
        ({"bootstrap": "a:1,b"}, "'b' is not host:port"),
        ({"registry_url": "localhost:8081"}, "is not an http:// or https:// address"),
        ({"registry_url": "ftp://registry"}, "is not an http:// or https:// address"),
        ({"subject": "{asset}-value"}, "known are {topic}, {record} and {decimals}"),
        ({"security_protocol": "TLS"}, "known are PLAINTEXT, SSL"),
        (SASL, "needs a sasl_mechanism"),
        ({**SASL, "sasl_mechanism": "GSSAPI"}, "known are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "needs username=... and password=..."),
        ({"username": "u", "password": "p"}, "does not use them"),
        ({"key_file": Path("k")}, "key_file is given without cert_file"),
        ({"cert_file": Path("c")}, "does not use it"),
        ({"registry_username": "u"}, "go together"),
    ],
)
def test_a_contradiction_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KafkaSettings(**given)
    assert text in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        KafkaSettings(compression="x", linger_ms=-1, bootstrap="x")
    assert str(caught.value).count(";") == 2


def test_what_is_allowed_is_allowed() -> None:
    KafkaSettings(acks="1", idempotent=False, compression="none", compatibility="", linger_ms=0)
    KafkaSettings(**SASL, sasl_mechanism="SCRAM-SHA-512", registry_username="u", registry_password="p")
    KafkaSettings(bootstrap="a:1, [::1]:9092", registry_url="https://registry.example/base")


def test_secrets_are_in_no_repr() -> None:
    given: dict[str, Any] = {**SASL, "password": "hunter2", "sasl_mechanism": "PLAIN"}
    settings = KafkaSettings(**given, registry_username="r", registry_password="hunter3")
    assert "hunter" not in repr(settings)
    assert "hunter" not in repr(SinkSettings(options=settings))


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        KafkaSettings(registry_url="http://u:hunter2@registry:8081")
    assert "hunter2" not in str(caught.value)


def test_a_bound_must_bound() -> None:
    with pytest.raises(SettingsError, match="buffer_bytes=0"):
        SinkSettings(buffer_bytes=0)


def test_an_unknown_sink_lists_the_known_ones() -> None:
    assert SINKS.names() == ("console", "file", "iceberg", "kafka", "none", "postgres", "questdb")
    known = "there is no sink 'settings'; known: console, file, iceberg, kafka, none, postgres, questdb"
    with pytest.raises(SettingsError, match=known):
        make_sink(SinkSettings(kind="settings"), lambda batch: None, lambda envelope, reason, words="": None)


@pytest.mark.parametrize("kind", ["console", "file", "kafka"])
def test_every_known_sink_can_be_made(kind: str) -> None:
    sink = make_sink(SinkSettings(kind=kind), lambda batch: None, lambda envelope, reason: None)
    assert sink.name == kind
    assert sink.status()["queued"] == 0


def test_a_missing_authority_file_is_named() -> None:
    settings = KafkaSettings(registry_url="https://registry", ca_file=Path("/nowhere.pem"))
    with pytest.raises(SettingsError, match=r"/nowhere\.pem"):
        make_sink(SinkSettings(options=settings), lambda batch: None, lambda envelope, reason: None)
