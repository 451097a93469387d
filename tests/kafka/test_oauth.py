"""A real broker that lets in only who has a token (OAUTHBEARER)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Collection, Iterator

import pytest

from k2conn.consumer.member import GroupMember
from k2conn.consumer.settings import ConsumerSettings
from k2conn.errors import Unreachable
from k2conn.sinks.kafka.probe import probe
from k2conn.sinks.kafka.producer import Producer
from k2conn.sinks.positions import SourcePartition
from tests.servers import Broker
from tests.servers.process import free_port
from tests.unit.sinks.test_tokens import Endpoint

pytestmark = pytest.mark.kafka


class TokenBroker(Broker):
    """A broker with a second listener, whose clients show a token. It takes unsigned ones, as Kafka does for tests."""

    token_port = 0

    def properties(self) -> dict[str, str]:
        self.token_port = self.token_port or free_port()
        given = super().properties()
        module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
        return {
            **given,
            "listeners": f"{given['listeners']},TOKEN://127.0.0.1:{self.token_port}",
            "advertised.listeners": f"{given['advertised.listeners']},TOKEN://127.0.0.1:{self.token_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TOKEN:SASL_PLAINTEXT",
            "listener.name.token.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.token.oauthbearer.sasl.jaas.config": f'{module} required unsecuredLoginStringClaim_sub="b";',
        }


@pytest.fixture(scope="module")
def token_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenBroker]:
    broker = TokenBroker(tmp_path_factory.mktemp("kafka"), heap=256)
    broker.start()
    yield broker
    broker.stop()


def unsigned(life: int) -> str:
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": "k2conn", "iat": now, "exp": now + life})
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + "."


def test_a_token_opens_the_door(token_broker: TokenBroker) -> None:
    async def main() -> int:
        async with Endpoint(body={"access_token": unsigned(300), "expires_in": 300}).open() as endpoint:
            settings = endpoint.settings(bootstrap=f"127.0.0.1:{token_broker.token_port}")
            producer = Producer(settings)
            try:
                await producer.connect(10)
                partitions = await producer.find("with-a-token", 10)
                (kafka, _) = await probe(settings, ["with-a-token", "not-there"])
            finally:
                await producer.stop()
            assert kafka.ok, kafka
            assert "not there yet: not-there" in kafka.detail
            return partitions

    assert asyncio.run(main()) == 1


# A connection whose login fails is now and then left to the garbage collector by aiokafka, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("status", "body"), [(401, {}), (200, {"access_token": "no.token.", "expires_in": 9})])
def test_without_a_valid_one_there_is_a_reason(token_broker: TokenBroker, status: int, body: dict[str, object]) -> None:
    async def main() -> str:
        async with Endpoint(status, body).open() as endpoint:
            settings = endpoint.settings(bootstrap=f"127.0.0.1:{token_broker.token_port}")
            producer = Producer(settings)
            with pytest.raises(Unreachable):
                await producer.connect(5)
            return (await probe(settings, []))[0].detail

    detail = asyncio.run(main())
    assert "HTTP 401" in detail if status == 401 else "does not accept the token" in detail, detail
    assert "hunter2" not in detail


@pytest.mark.deploy
def test_a_member_of_a_group_shows_it_too(token_broker: TokenBroker) -> None:
    given: list[SourcePartition] = []

    async def revoked(partitions: Collection[SourcePartition]) -> None:
        """Nothing is under way."""

    async def main() -> None:
        async with Endpoint(body={"access_token": unsigned(300), "expires_in": 300}).open() as endpoint:
            kafka = endpoint.settings(bootstrap=f"127.0.0.1:{token_broker.token_port}")
            producer = Producer(kafka)
            await producer.connect(10)
            await producer.find("read-with-a-token", 10)
            await producer.stop()
            settings = ConsumerSettings(kafka=kafka, topics=("read-with-*",), session_timeout_ms=6000)
            member = GroupMember(settings, given.extend, revoked)
            await member.join()
            end = time.monotonic() + 60
            while not member.joined and time.monotonic() < end:
                assert await member.poll(0.1, 10) == {}
            await member.leave()

    asyncio.run(main())
    assert given == [SourcePartition("read-with-a-token", 0)]
