"""A real broker behind TLS, with client certificates or with logins: produce requests of our own go there, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k2conn.compat.aiokafka import Leaders
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.sink import KafkaSink
from tests.kafka.test_sink import create, drive, number_of, read
from tests.servers import Broker, SharedRegistry
from tests.servers.process import free_port
from tests.support.certificates import Authority
from tests.support.sinks import Book, trade

pytestmark = pytest.mark.kafka

RECORDS = 30
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


class SecuredBroker(Broker):
    """A broker with listeners for clients that show a certificate (CERT) or a name and a password over TLS (LOGIN)."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder, heap=256)
        self.authority = authority
        self.ports = {"CERT": free_port(), "LOGIN": free_port()}

    def properties(self) -> dict[str, str]:
        given = super().properties()
        certificate, key = self.authority.signed("broker")
        both = self.folder / "broker-both.pem"
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        listeners = "".join(f",{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        tls = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(both), "ssl.truststore.type": "PEM",
               "ssl.truststore.location": str(self.authority.file)}
        return {
            **given,
            **{f"listener.name.{name.lower()}.{key}": value for name in self.ports for key, value in tls.items()},
            "listeners": given["listeners"] + listeners,
            "advertised.listeners": given["advertised.listeners"] + listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CERT:SSL,LOGIN:SASL_SSL",
            "listener.name.cert.ssl.client.auth": "required",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": f'{_PLAIN} required user_k2="hunter2";',
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    folder = tmp_path_factory.mktemp("secured")
    broker = SecuredBroker(folder / "kafka", Authority(folder))
    broker.start()
    yield broker
    broker.stop()


def settings(broker: SecuredBroker, listener: str) -> dict[str, Any]:
    given: dict[str, Any] = {"bootstrap": f"127.0.0.1:{broker.ports[listener]}", "ca_file": broker.authority.file}
    if listener == "LOGIN":
        login = {"sasl_mechanism": "PLAIN", "username": "k2", "password": "hunter2"}
        return given | login | {"security_protocol": "SASL_SSL"}
    certificate, key = broker.authority.signed("client")
    return given | {"security_protocol": "SSL", "cert_file": certificate, "key_file": key}


@pytest.mark.parametrize("listener", ["CERT", "LOGIN"])
def test_records_go_the_quick_way(
    secured: SecuredBroker, registry: SharedRegistry, monkeypatch: pytest.MonkeyPatch, listener: str
) -> None:
    posted = 0
    post = Leaders.post

    def counted(*given: Any) -> None:
        nonlocal posted
        posted += 1
        post(*given)

    monkeypatch.setattr(Leaders, "post", counted)
    topic = create(secured, f"secured-{listener}.trades", partitions=2)

    async def work(sink: KafkaSink) -> None:
        for number in range(RECORDS):
            sink.put(trade(number, topic, "BTCUSD"))
            if number % 10 == 9:
                assert await sink.flush(60) == 0

    drive(secured, registry, Book(), work, **settings(secured, listener))
    assert [number_of(message) for message in read(secured, topic, RECORDS)] == list(range(RECORDS))
    assert posted == 3


@pytest.mark.parametrize("listener", ["CERT", "LOGIN"])
def test_who_may_not_come_in_is_told(secured: SecuredBroker, registry: SharedRegistry, listener: str) -> None:
    wrong: dict[str, Any] = {"password": "wrong"} if listener == "LOGIN" else {"cert_file": None, "key_file": None}

    async def never(sink: KafkaSink) -> None:
        raise AssertionError("it opened")

    with pytest.raises(Unreachable) as caught:
        drive(secured, registry, Book(), never, open_timeout=3, **settings(secured, listener) | wrong)
    assert "wrong" not in str(caught.value)
