"""WebSockets (RFC 6455), with TLS (`wss`) or without (`ws`)."""

from __future__ import annotations

from k2conn.schemes import WEBSOCKET
from k2conn.transports import Address, Transport, TransportKind


def _open(address: Address) -> Transport:
    from k2conn.transports.websocket.connection import WebSocket

    return WebSocket(address)


TRANSPORT = TransportKind("WebSockets, with or without TLS", WEBSOCKET, _open)
