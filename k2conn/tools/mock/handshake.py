"""The venue's side of a WebSocket's handshake: it takes what the connector file says it takes, and refuses all else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from websockets.exceptions import InvalidHeader
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import parse_extension, parse_subprotocol
from websockets.http11 import Request
from websockets.server import ServerProtocol

from k2conn import exactjson
from k2conn.compression import PLAIN, Compression
from k2conn.errors import RecordError, SettingsError
from k2conn.plan import Connection, SendScope

_DEFLATE = "permessage-deflate"


class Offer(NamedTuple):
    """What a client offers: sub-protocols, and the parameters of compression (None: no compression)."""

    subprotocols: tuple[str, ...]
    compression: dict[str, str | None] | None


def handshake_refusal(connections: Sequence[Connection], request: Request, protocol: ServerProtocol) -> str | None:
    """Why the venue of one of these connections does not take a client; None where it does, and then ``protocol``
    answers as that venue.
    """
    try:
        offer = _offer(request)
    except InvalidHeader as error:
        return str(error)
    reasons = [_refusal(connection, offer) for connection in connections]
    taken = next((connection for connection, why in zip(connections, reasons, strict=True) if why is None), None)
    if taken is None:
        return reasons[0]
    if taken.subprotocol is not None:
        protocol.available_subprotocols = parse_subprotocol(_picked(taken, offer) or "")
    if taken.compression is not None and taken.compression != PLAIN:
        protocol.available_extensions = [_deflate(taken.compression)]
    return None


def _offer(request: Request) -> Offer:
    protocols = [name for text in request.headers.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(text)]
    extensions = [one for text in request.headers.get_all("Sec-WebSocket-Extensions") for one in parse_extension(text)]
    return Offer(tuple(protocols), next((dict(found) for name, found in extensions if name == _DEFLATE), None))


def _refusal(connection: Connection, offer: Offer) -> str | None:
    if connection.subprotocol is not None and _picked(connection, offer) is None:
        return f"this venue speaks the sub-protocol {connection.subprotocol_text}, which is not offered"
    if connection.compression is None:
        return "this venue takes no compression, which is offered" if offer.compression is not None else None
    offered = (offer.compression or {}).items()
    missing = [name for name, value in _parameters(connection.compression).items() if (name, value) not in offered]
    return f"this venue wants {', '.join(missing)} for its compression, which is not offered" if missing else None


def _picked(connection: Connection, offer: Offer) -> str | None:
    """The sub-protocol that the venue picks; where its name needs what this machine does not have, the first."""
    assert connection.subprotocol is not None
    scope = SendScope(lambda: 0, lambda: "", 0, {}, os.environ)
    try:
        spoken = connection.subprotocol(scope)
    except (RecordError, SettingsError):
        return next(iter(offer.subprotocols), None)
    names = [exactjson.spell(one) for one in (spoken if isinstance(spoken, list) else [spoken])]
    return next((name for name in offer.subprotocols if name in names), None)


def _parameters(wanted: Compression) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if getattr(wanted, name):
            found[name] = None
    for name in ("server_max_window_bits", "client_max_window_bits"):
        if (bits := getattr(wanted, name)) is not None:
            found[name] = str(bits)
    return found


def _deflate(wanted: Compression) -> ServerPerMessageDeflateFactory:
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=wanted.server_no_context_takeover,
        client_no_context_takeover=wanted.client_no_context_takeover,
        server_max_window_bits=wanted.server_max_window_bits,
        client_max_window_bits=wanted.client_max_window_bits,
    )
