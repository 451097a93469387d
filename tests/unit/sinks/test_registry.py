"""What is asked of a schema registry, and what of its answers is fatal: with one that says what a test wants."""

from __future__ import annotations

import json
import logging
import socket

import pytest

from k2conn.avro import V2, WIDE, load_schema, read_schema, use_decimals
from k2conn.errors import SettingsError, SinkError, Unreachable
from k2conn.resources import record_files
from k2conn.sinks.kafka.registry import SchemaRegistry
from k2conn.sinks.kafka.settings import KafkaSettings
from tests.support.registries import (
    DENIED,
    GLOBAL_RULE,
    LATEST,
    LOOK_UP,
    REGISTER,
    RULE,
    SET_RULE,
    SUBJECT,
    fake_registry,
)

TEXT = '"string"'
FULL = (200, {"compatibilityLevel": "FULL_TRANSITIVE"})
SEVEN = (200, {"id": 7})


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "k2conn")


# -- the rule


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({RULE: FULL}, "compatibility FULL_TRANSITIVE"),
        ({GLOBAL_RULE: (200, {"compatibilityLevel": "BACKWARD"})}, "compatibility BACKWARD (the registry's)"),
        ({RULE: DENIED, GLOBAL_RULE: DENIED}, "compatibility unknown"),
        ({}, "compatibility unknown (the registry's)"),
        ({RULE: (200, []), GLOBAL_RULE: (500, {})}, "compatibility unknown"),
    ],
)
def test_a_rule_that_nobody_asked_for_is_read_and_told(answers, told, caplog) -> None:  # type: ignore[no-untyped-def]
    with fake_registry({REGISTER: SEVEN, **answers}) as registry:
        assert registry.client().register(SUBJECT, TEXT) == 7
    assert registry.written == [REGISTER]
    assert caplog.messages == [f"schema registry {registry.url}: {SUBJECT} is schema 7, {told}"]


def test_a_rule_that_is_there_is_not_set_again() -> None:
    with fake_registry({REGISTER: SEVEN, RULE: FULL}) as registry:
        assert registry.client().register(SUBJECT, TEXT, "FULL_TRANSITIVE") == 7
    assert registry.written == [REGISTER]


def test_another_rule_is_set_before_the_schema() -> None:
    with fake_registry({REGISTER: SEVEN, RULE: FULL, SET_RULE: (200, {})}) as registry:
        registry.client().register(SUBJECT, TEXT, "NONE")
    assert registry.written == [SET_RULE, REGISTER]
    assert {"compatibility": "NONE"} in registry.bodies


def test_a_role_that_may_not_set_rules_can_run(caplog: pytest.LogCaptureFixture) -> None:
    with fake_registry({REGISTER: SEVEN, RULE: FULL, SET_RULE: DENIED}) as registry:
        assert registry.client().register(SUBJECT, TEXT, "BACKWARD") == 7
    (line,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert f"compatibility of {SUBJECT} stays FULL_TRANSITIVE" in line.getMessage()
    assert "403" in line.getMessage()


def test_a_rule_that_the_registry_does_not_know_is_said() -> None:
    with (
        fake_registry({REGISTER: SEVEN, SET_RULE: (422, {"error_code": 42203, "message": "invalid"})}) as registry,
        pytest.raises(SinkError, match="422"),
    ):
        registry.client().register(SUBJECT, TEXT, "FULL")


# -- registering, and looking up only


def test_look_up_only_changes_nothing() -> None:
    with fake_registry({LOOK_UP: (200, {"subject": SUBJECT, "id": 9, "version": 1})}) as registry:
        assert registry.client(registers=False).register(SUBJECT, TEXT) == 9
    assert registry.written == []


def test_look_up_only_says_what_is_missing() -> None:
    with (
        fake_registry({}) as registry,
        pytest.raises(SinkError, match=f"not registered under {SUBJECT}, and K2_KAFKA_SCHEMA_REGISTER=false"),
    ):
        registry.client(registers=False).register(SUBJECT, TEXT)


@pytest.mark.parametrize("refusal", [DENIED, (401, {}), (422, {"error_code": 42205, "message": "read-only mode"})])
def test_a_role_that_may_not_register_runs_where_the_schema_is_there(
    refusal: tuple[int, object], caplog: pytest.LogCaptureFixture
) -> None:
    with fake_registry({REGISTER: refusal, LOOK_UP: (200, {"id": 5})}) as registry:
        assert registry.client().register(SUBJECT, TEXT) == 5
    assert any("not allowed to register" in one for one in caplog.messages)


@pytest.mark.parametrize(("refusal", "status"), [(DENIED, "403"), ((409, {}), "409"), ((422, {}), "422")])
def test_a_refusal_is_said_as_it_was(refusal: tuple[int, object], status: str) -> None:
    with fake_registry({REGISTER: refusal, LOOK_UP: DENIED}) as registry, pytest.raises(SinkError, match=status):
        registry.client().register(SUBJECT, TEXT)


def test_a_role_that_may_not_list_subjects_is_let_in_and_a_wrong_password_is_not() -> None:
    with fake_registry({("GET", "/subjects"): DENIED}) as registry:
        registry.client().check()
        registry.answers["GET", "/subjects"] = (401, {})
        with pytest.raises(SinkError, match="401"):
            registry.client().check()


# -- sizes of decimals


def test_sizes_of_decimals_are_not_mixed_under_one_subject() -> None:
    path = record_files()["trade"]
    narrow, wide = (read_schema("trade", path, size).text for size in (V2, WIDE))
    for there, ours, size in ((narrow, wide, WIDE), (wide, narrow, V2)):
        use_decimals(size)
        try:
            with fake_registry({LATEST: (200, {"schema": there}), REGISTER: SEVEN}) as registry:
                with pytest.raises(SinkError) as caught:
                    registry.client().register(SUBJECT, ours)
                assert registry.written == []
                registry.answers[LATEST] = (200, {"schema": ours})
                assert registry.client().register(SUBJECT, ours) == 7
        finally:
            use_decimals(V2)
        assert f"K2_DECIMALS={size}" in str(caught.value)
        assert "K2_KAFKA_TOPIC_PREFIX" in str(caught.value)


@pytest.mark.parametrize("latest", [DENIED, (200, []), (200, {"schema": "no JSON"}), (200, {"schema": '"string"'})])
def test_a_latest_schema_that_says_nothing_stops_nobody(latest: tuple[int, object]) -> None:
    with fake_registry({LATEST: latest, REGISTER: SEVEN}) as registry:
        assert registry.client().register(SUBJECT, load_schema("trade").text) == 7


def test_another_precision_is_no_other_size() -> None:
    schema = json.loads(load_schema("trade").text)
    schema["fields"][6]["type"]["precision"] = 17
    with fake_registry({LATEST: (200, {"schema": json.dumps(schema)}), REGISTER: SEVEN}) as registry:
        assert registry.client().register(SUBJECT, load_schema("trade").text) == 7


# -- several addresses


def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_first_address_that_answers_is_used() -> None:
    with (
        fake_registry({REGISTER: (503, {}), ("GET", "/subjects"): (503, {})}) as ill,
        fake_registry({REGISTER: SEVEN, RULE: FULL, ("GET", "/subjects"): (200, [])}) as well,
    ):
        client = SchemaRegistry(f"{nobody()}, {ill.url}, {well.url}/", 5)
        client.check()
        assert client.url == f"{well.url}/"
        before = len(ill.asked)
        assert client.register(SUBJECT, TEXT) == 7
        assert len(ill.asked) == before, "asked again though another answers"
        well.answers[REGISTER] = (503, {})
        ill.answers[REGISTER] = SEVEN
        assert client.register(SUBJECT, TEXT) == 7
        assert ill.asked[before:].count(REGISTER) == 1


def test_all_addresses_are_named_where_none_answers() -> None:
    first, second = nobody(), nobody()
    with pytest.raises(Unreachable) as caught:
        SchemaRegistry(f"{first},{second}", 5).check()
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_a_refusal_is_not_tried_elsewhere() -> None:
    with fake_registry({REGISTER: (409, {})}) as first, fake_registry({REGISTER: SEVEN}) as second:
        with pytest.raises(SinkError, match="409"):
            SchemaRegistry(f"{first.url},{second.url}", 5).register(SUBJECT, TEXT)
        assert second.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://a:8081,", ",http://a", "http://a,,http://b", "http://a:99999", "http://a:port", "http://[::1:8081",
        "http://a:8081;http://b:8081", "http://a:8081 http://b:8081", "a:8081,http://b", "http://a,ftp://b",
        "http://a,http://", "http://a/v7?x=1", "http://a/#x", "http://a:0", "http://é",
    ],
)
def test_a_wrong_address_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsError, match="registry_url"):
        KafkaSettings(registry_url=url)


def test_a_password_in_an_address_is_not_repeated() -> None:
    for url in ("http://a,http://me:hunter2@b", "http://me:hunter2@[b"):
        with pytest.raises(SettingsError) as caught:
            KafkaSettings(registry_url=url)
        assert "hunter2" not in str(caught.value)


def test_what_is_allowed_is_allowed() -> None:
    KafkaSettings(registry_url="http://a:8081, https://b.example/apis/ccompat/v7,http://[::1]:8081", register=False)
    KafkaSettings(subject="{topic}-{decimals}-value", compatibility="FULL")


def test_a_rule_to_set_in_a_registry_that_is_not_to_be_changed_is_refused() -> None:
    with pytest.raises(SettingsError, match="compatibility=FULL is to be set, but register=false"):
        KafkaSettings(compatibility="FULL", register=False)
