"""HTTP, with TLS (`https`) or without (`http`): one answer that goes on, or the same question again and again."""

from __future__ import annotations

from k2conn.schemes import HTTP
from k2conn.transports import Address, Transport, TransportKind


def _open(address: Address) -> Transport:
    if address.polling is not None:
        from k2conn.transports.http.poller import Poller

        return Poller(address, address.polling)
    from k2conn.transports.http.stream import HttpStream

    return HttpStream(address)


TRANSPORT = TransportKind("HTTP answers that go on, or that are asked for again and again", HTTP, _open)
