"""Frames over TCP, with TLS (`tcps`) or without (`tcp`): behind their length, or before a delimiter."""

from __future__ import annotations

from k2conn.schemes import TCP
from k2conn.transports import Address, Transport, TransportKind


def _open(address: Address) -> Transport:
    from k2conn.transports.tcp.connection import TcpConnection

    return TcpConnection(address)


TRANSPORT = TransportKind("Frames over TCP, behind their length or before a delimiter", TCP, _open)
