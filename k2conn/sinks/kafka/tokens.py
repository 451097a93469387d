"""Tokens for SASL/OAUTHBEARER: asked for with the client's id and secret (OAuth 2 client credentials), and kept until
they are nearly over.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka.abc import AbstractTokenProvider  # type: ignore[import-untyped]

from k2conn.clock import monotonic
from k2conn.errors import TransportError
from k2conn.net.http import Call, call
from k2conn.secret_mask import SECRETS
from k2conn.sinks.kafka.settings import KafkaSettings, pairs
from k2conn.variable_files import latest

WITHIN = 5.0
"""Seconds for an answer."""
RENEWED_AT = 0.8
"""Of a token's life, after which a new one is asked for."""
LIFE = 300
"""Seconds that a token lives whose answer does not say."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """The tokens of one Kafka client, shared by all of its connections."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._token = ""
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A token that is valid for a while. Raises aiokafka's KafkaConnectionError, with the host and the reason,
        where there is none: its connection then fails as any other does, and is tried again.
        """
        async with self._asking:
            if monotonic() >= self._until:
                await self._renew()
            return self._token

    def extensions(self) -> dict[str, str]:
        """What is sent beside the token."""
        return pairs(self._settings.oauth_extensions)

    async def _renew(self) -> None:
        try:
            answer: Any = await call(self._call())
        except TransportError as error:
            raise kafka_errors.KafkaConnectionError(f"no OAuth token: {error}") from None
        token, life = (answer.get("access_token"), answer.get("expires_in")) if isinstance(answer, dict) else ("", 0)
        if not isinstance(token, str) or not token:
            raise kafka_errors.KafkaConnectionError("no OAuth token: there is no access_token in the answer")
        SECRETS.add_passing(token)
        self._token = token
        self._until = monotonic() + RENEWED_AT * (life if isinstance(life, int) and life > 0 else LIFE)

    def _call(self) -> Call:
        given = self._settings
        login = base64.b64encode(f"{given.oauth_client_id}:{latest(given.oauth_client_secret)}".encode()).decode()
        form = {"grant_type": "client_credentials"} | ({"scope": given.oauth_scope} if given.oauth_scope else {})
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        authorities = str(given.oauth_ca_file) if given.oauth_ca_file else None
        return Call("POST", str(given.oauth_token_url), headers, urlencode(form).encode(), WITHIN, authorities)
