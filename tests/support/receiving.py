"""Reading from a socket."""

from __future__ import annotations

import socket


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes; ConnectionError where the other end goes away before."""
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError(f"closed {size - len(received)} bytes too early")
        received += part
    return received
