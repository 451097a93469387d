"""Files: what comes in are the bytes of files that a command line names, decompressed. No address ever names one."""

from __future__ import annotations

from k2conn.errors import TransportError
from k2conn.transports import Address, Transport, TransportKind


def _open(address: Address) -> Transport:
    raise TransportError("files", "files are read by `k2conn load`, which is told their names")


TRANSPORT = TransportKind("Rows of files, named on the command line", {"file": True}, _open, files=True)
