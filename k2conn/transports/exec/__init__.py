"""A program of this machine that the operator allowed (`exec`): lines of JSON on its standard output and input."""

from __future__ import annotations

from k2conn.schemes import EXEC
from k2conn.transports import Address, Transport, TransportKind


def _open(address: Address) -> Transport:
    from k2conn.transports.exec.sidecar import Sidecar

    return Sidecar(address)


TRANSPORT = TransportKind("A program beside k2conn, a frame a line on its output and input", EXEC, _open)
