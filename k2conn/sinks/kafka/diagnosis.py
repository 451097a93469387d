"""Why a cluster cannot be reached: what people find out with nslookup, telnet and openssl, in two seconds."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import NamedTuple

from k2conn.errors import SettingsError
from k2conn.net.tls import client_context, tls_trouble
from k2conn.sinks.kafka.settings import KafkaSettings

WITHIN = 2.0
"""Seconds for a connection, and for the first word over it."""
_QUESTION = bytes.fromhex("0000000a 0012 0000 00000001 0000")
"""ApiVersions, version 0, from a client without a name: any broker answers it."""
_TLS_ALERT = b"\x15\x03"


class Cause(NamedTuple):
    """``hopeless``: nobody is there, so that trying again at once is of no use; ``text`` is empty where all seems
    well.
    """

    text: str
    hopeless: bool = False


async def likely_cause(settings: KafkaSettings) -> Cause:
    """Looks at every bootstrap address. The text says of each what is wrong."""
    addresses = [one.strip().rpartition(":") for one in settings.bootstrap.split(",")]
    found = await asyncio.gather(*(look(settings, host.strip("[]"), int(port)) for host, _, port in addresses))
    if not all(one.text for one in found):
        return Cause("")
    return Cause("; ".join(dict.fromkeys(one.text for one in found)), all(one.hopeless for one in found))


async def look(settings: KafkaSettings, host: str, port: int) -> Cause:
    """What is wrong with one address; an empty text where a broker answers."""
    place = f"{host}:{port}"
    try:
        context = None
        if settings.security_protocol.endswith("SSL"):
            context = client_context(settings.ca_file, True, settings.cert_file, settings.key_file)
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        return Cause(f"no answer from {place}: a firewall between, or another address", True)
    except SettingsError as error:
        return Cause(str(error))
    except socket.gaierror:
        return Cause(f"the name {host} cannot be resolved", True)
    except ConnectionRefusedError:
        return Cause(f"nothing listens on {place}: it is not started, or has another port", True)
    except (OSError, ValueError) as error:
        if trouble := tls_trouble(error):
            return Cause(f"{place}: {trouble} (K2_KAFKA_SECURITY_PROTOCOL is {settings.security_protocol})")
        return Cause(f"{place}: {getattr(error, 'strerror', None) or error}", True)
    try:
        return await _spoken_to(settings, place, reader, writer)
    finally:
        writer.close()
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(0.2):
                await writer.wait_closed()


async def _spoken_to(
    settings: KafkaSettings, place: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Cause:
    protocol = settings.security_protocol
    try:
        async with asyncio.timeout(WITHIN):
            writer.write(_QUESTION)
            word = await reader.read(5)
    except TimeoutError:
        return Cause(f"{place} takes the connection and says nothing: it hangs, or is just starting, or is no Kafka")
    except OSError as error:
        if trouble := tls_trouble(error):
            return Cause(f"{place}: {trouble}")
        word = b""
    if not word or word.startswith(_TLS_ALERT):
        other = "PLAINTEXT or SASL_PLAINTEXT" if protocol.endswith("SSL") else "SSL or SASL_SSL"
        hint = f"K2_KAFKA_SECURITY_PROTOCOL is {protocol}, does it want {other}?"
        return Cause(f"{place} ends the connection at the first word: {hint}")
    if word.startswith(b"HTTP"):
        return Cause(f"{place} is a web server, not Kafka: is it the registry's port?")
    return Cause("")


async def advertised_trouble(settings: KafkaSettings, brokers: list[tuple[str, int]]) -> str:
    """What is wrong with the addresses that the brokers themselves say (advertised.listeners), where none of them can
    be reached; empty where one can.
    """
    found = await asyncio.gather(*(look(settings, host, port) for host, port in brokers))
    if not found or not all(one.hopeless for one in found):
        return ""
    names = ", ".join(f"{host}:{port}" for host, port in brokers[:5])
    return (f"it answers, but says that its brokers are at {names} (advertised.listeners): "
            + "; ".join(dict.fromkeys(one.text for one in found)))
