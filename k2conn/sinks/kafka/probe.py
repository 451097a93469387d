"""What can be told of a cluster and its registry without writing anything: for `k2conn doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from k2conn.errors import K2Error, SettingsError, Unreachable
from k2conn.net.http import in_thread
from k2conn.net.tls import client_context
from k2conn.sinks import Finding
from k2conn.sinks.kafka.client_log import ClientLogHandler
from k2conn.sinks.kafka.diagnosis import advertised_trouble, likely_cause
from k2conn.sinks.kafka.producer import Producer, client_options
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import registry_of

WITHIN = 5.0
"""Seconds for each question."""


def wrong_files(settings: KafkaSettings) -> list[str]:
    """What is wrong with the certificates and keys that would be used."""
    authorities, certificate, key = settings.registry_files
    own = "registry_" if settings.registry_ca_file or settings.registry_cert_file else ""
    problems: list[str] = []
    if settings.security_protocol.endswith("SSL"):
        problems += _wrong("", settings.ca_file, settings.cert_file, settings.key_file)
    if any(url.startswith("https:") for url in settings.registry_urls):
        problems += _wrong(own, authorities, certificate, key)
    if settings.oauth_ca_file is not None:
        problems += _wrong("oauth_", settings.oauth_ca_file)
    return list(dict.fromkeys(problems))


def _wrong(prefix: str, authorities: Any, certificate: Any = None, key: Any = None) -> list[str]:
    try:
        client_context(authorities, True, certificate, key)
    except SettingsError as error:
        return [problem.replace("ca_file", f"{prefix}ca_file").replace("cert_file", f"{prefix}cert_file")
                .replace("key_file", f"{prefix}key_file") for problem in error.problems]
    return []


async def probe(settings: KafkaSettings, topics: Iterable[str]) -> list[Finding]:
    """Asks the cluster and the registry; registers and makes nothing."""
    handler = ClientLogHandler(quiet=True)
    handler.attach()
    try:
        return list(await asyncio.gather(_cluster(settings, list(topics), handler), _registry(settings)))
    finally:
        handler.detach()


async def _cluster(settings: KafkaSettings, topics: list[str], handler: ClientLogHandler) -> Finding:
    producer = Producer(settings)
    try:
        await producer.connect(WITHIN)
        trouble = await advertised_trouble(settings, producer.brokers())
        if trouble:
            return Finding("kafka", settings.bootstrap, trouble, False)
        brokers = len(producer.brokers())
        missing = sorted(set(topics) - await _known(settings))
    except Unreachable as error:
        cause = (await likely_cause(settings)).text
        said = str(error).removeprefix(f"kafka {settings.bootstrap}: ")
        return Finding("kafka", settings.bootstrap, cause or handler.reason(said), False)
    finally:
        await producer.stop()
    said = f"{brokers} broker{'s' if brokers != 1 else ''} can be reached"
    if missing and not settings.create_topics:
        some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        said += f"; not there yet: {some} (made by the broker if it does so, or with K2_KAFKA_CREATE_TOPICS=true)"
    return Finding("kafka", settings.bootstrap, said, True)


async def _known(settings: KafkaSettings) -> set[str]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        async with asyncio.timeout(WITHIN):
            await admin.start()
            return set(await admin.list_topics())
    except (TimeoutError, OSError, kafka_errors.KafkaError) as error:
        raise Unreachable(f"kafka {settings.bootstrap}: {error or type(error).__name__}") from None
    finally:
        await admin.close()


async def _registry(settings: KafkaSettings) -> Finding:
    try:
        async with asyncio.timeout(2 * WITHIN):
            await in_thread(registry_of(settings).check)
    except TimeoutError:
        return Finding("registry", settings.registry_url, "no answer in time", False)
    except K2Error as error:
        text = str(error).removeprefix(f"schema registry {settings.registry_url}: ")
        return Finding("registry", settings.registry_url, text, False)
    return Finding("registry", settings.registry_url, "it answers", True)
