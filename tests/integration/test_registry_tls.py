"""A registry that wants a client certificate, beside a Kafka without TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from k2conn.errors import SettingsError, Unreachable
from k2conn.sinks.kafka.probe import wrong_files
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.sink import registry_of
from tests.support.certificates import Authority


def checked(authority: Authority, **files: Any) -> None:
    """Asks a registry of TLS for its subjects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=_answer_once, args=(server, authority.server(clients=True)))
        answering.start()
        try:
            settings = KafkaSettings(registry_url=f"https://127.0.0.1:{server.getsockname()[1]}", **files)
            registry_of(settings).check()
        finally:
            answering.join()


def _answer_once(server: socket.socket, context: ssl.SSLContext) -> None:
    plain, _ = server.accept()
    with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as talk:
        talk.recv(65536)
        talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


@pytest.mark.parametrize("own", ["registry_", ""])
def test_the_registry_s_client_certificate_needs_no_tls_of_kafka(tmp_path: Path, own: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.signed("client.test")
    checked(authority, **{f"{own}ca_file": authority.file, f"{own}cert_file": certificate, f"{own}key_file": key})


def test_without_one_the_refusal_is_said_to_be_one_of_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(Unreachable, match=r"client certificate|TLS handshake"):
        checked(authority, registry_ca_file=authority.file)


def test_what_nobody_would_use_is_refused_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"registry_cert_file is given, but registry_url= is not https"):
        KafkaSettings(registry_cert_file=Path("c"))
    settings = KafkaSettings(registry_url="https://registry", registry_ca_file=tmp_path / "nowhere.pem")
    (problem,) = wrong_files(settings)
    assert problem.startswith(f"registry_ca_file {tmp_path}/nowhere.pem: ")
