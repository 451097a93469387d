"""Tokens for OAUTHBEARER: how they are asked for, how long they are kept, what a failure says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import aiokafka.errors as kafka_errors
import pytest

from k2conn.errors import SettingsError
from k2conn.sinks.kafka import tokens
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.kafka.tokens import Tokens


class Endpoint:
    """Gives tokens, numbered; remembers who asked with what."""

    def __init__(self, status: int = 200, body: Any = None) -> None:
        self.status = status
        self.body = body
        self.asked: list[dict[str, list[str]]] = []
        self.logins: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Endpoint]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = {name.lower(): text for name, _, text in (one.partition(": ") for one in head.split("\r\n")[1:])}
        self.asked.append(parse_qs((await reader.readexactly(int(fields["content-length"]))).decode()))
        self.logins.append(base64.b64decode(fields["authorization"].split()[1]).decode())
        given = self.body if self.body is not None else {"access_token": f"t{len(self.asked)}", "expires_in": 100}
        writer.write(f"HTTP/1.1 {self.status} X\r\n\r\n{json.dumps(given)}".encode())
        writer.close()
        await writer.wait_closed()

    def settings(self, **more: Any) -> KafkaSettings:
        return KafkaSettings(
            security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", oauth_client_id="me",
            oauth_token_url=f"http://127.0.0.1:{self.port}/token", oauth_client_secret="hunter2", **more,
        )


def test_a_token_is_asked_for_once_and_again_when_it_is_nearly_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0] + 1)

    async def main() -> tuple[list[str], Endpoint]:
        async with Endpoint().open() as endpoint:
            provider = Tokens(endpoint.settings(oauth_scope="kafka all", oauth_extensions="logicalCluster=lkc-1"))
            assert provider.extensions() == {"logicalCluster": "lkc-1"}
            found = list(await asyncio.gather(provider.token(), provider.token()))
            now[0] = 79
            found.append(await provider.token())
            now[0] = 81
            found.append(await provider.token())
            return found, endpoint

    found, endpoint = asyncio.run(main())
    assert found == ["t1", "t1", "t1", "t2"]
    assert endpoint.asked == [{"grant_type": ["client_credentials"], "scope": ["kafka all"]}] * 2
    assert endpoint.logins == ["me:hunter2"] * 2


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [(401, {"error": "invalid_client"}, "HTTP 401"),
     (200, {"token": "x"}, "no access_token"), (200, [], "no access_token")],
)
def test_no_token_is_an_error_of_the_connection(status: int, body: Any, text: str) -> None:
    async def main() -> BaseException:
        async with Endpoint(status, body).open() as endpoint:
            with pytest.raises(kafka_errors.KafkaConnectionError) as caught:
                await Tokens(endpoint.settings()).token()
            return caught.value

    error = asyncio.run(main())
    assert text in str(error)
    assert "hunter2" not in str(error)


def test_a_secret_does_not_go_out_in_the_clear() -> None:
    with pytest.raises(SettingsError, match="in the clear"):
        KafkaSettings(
            security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", oauth_client_id="me",
            oauth_token_url="http://login.example/token", oauth_client_secret="hunter2",
        )
