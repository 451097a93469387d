"""The likely cause of a Kafka that cannot be reached, told by small servers that misbehave."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from k2conn.sinks.kafka import diagnosis
from k2conn.sinks.kafka.diagnosis import Cause, advertised_trouble, likely_cause
from k2conn.sinks.kafka.settings import KafkaSettings
from tests.servers.process import free_port
from tests.support.certificates import Authority

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


async def _is_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"\x15\x03\x03\x00\x02\x02\x46")
    writer.close()


async def _is_web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def _is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _is_kafka(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(14)
    writer.write(struct.pack(">iihi", 10, 1, 0, 0))
    writer.close()


def cause(talk: Talk, settings: Callable[[str], KafkaSettings], monkeypatch: pytest.MonkeyPatch) -> Cause:
    monkeypatch.setattr(diagnosis, "WITHIN", 0.3)

    async def main() -> Cause:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            return await likely_cause(settings(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("talk", "text"),
    [
        (_closes, "ends the connection at the first word: K2_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        (_is_tls, "does it want SSL or SASL_SSL?"),
        (_is_web, "is a web server, not Kafka"),
        (_is_silent, "takes the connection and says nothing"),
    ],
)
def test_a_server_that_is_no_broker_for_us(talk: Talk, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cause(talk, lambda place: KafkaSettings(bootstrap=place), monkeypatch)
    assert text in found.text
    assert not found.hopeless


def test_a_broker_that_answers_has_another_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cause(_is_kafka, lambda place: KafkaSettings(bootstrap=place), monkeypatch) == Cause("")
    nobody = f"127.0.0.1:{free_port()}"
    assert cause(_is_kafka, lambda place: KafkaSettings(bootstrap=f"{nobody},{place}"), monkeypatch) == Cause("")


def test_tls_where_there_is_none_and_a_certificate_of_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cause(_is_web, lambda place: KafkaSettings(bootstrap=place, security_protocol="SSL"), monkeypatch)
    assert "K2_KAFKA_SECURITY_PROTOCOL is SSL" in found.text
    monkeypatch.setattr(diagnosis, "WITHIN", 2.0)
    context = Authority(tmp_path).server()

    async def main() -> Cause:
        server = await asyncio.start_server(_is_silent, "127.0.0.1", 0, ssl=context)
        async with server:
            place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await likely_cause(KafkaSettings(bootstrap=place, security_protocol="SSL"))

    assert "the certificate is not accepted" in asyncio.run(main()).text


def test_nobody_there() -> None:
    place = f"127.0.0.1:{free_port()}"
    found = asyncio.run(likely_cause(KafkaSettings(bootstrap=f"{place},nosuch.invalid:9092")))
    assert found.hopeless
    assert f"nothing listens on {place}" in found.text
    assert "the name nosuch.invalid cannot be resolved" in found.text


def test_brokers_that_call_themselves_by_names_that_are_unknown_here() -> None:
    settings = KafkaSettings()
    text = asyncio.run(advertised_trouble(settings, [("broker.invalid", 29092)]))
    assert "brokers are at broker.invalid:29092 (advertised.listeners)" in text
    assert "broker.invalid cannot be resolved" in text
    assert asyncio.run(advertised_trouble(settings, [])) == ""
