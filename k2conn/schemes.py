"""URL schemes as data, and the one rule about them: nothing goes to another machine in the clear, unless that is said.

The pure rooms check addresses without knowing the transports; they are given a `Secure` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import SplitResult

from k2conn.loopback import is_loopback

Secure = Callable[[str], bool | None]
"""Whether what goes to an address of a scheme is encrypted; None for a scheme that is not known."""

WEBSOCKET: Mapping[str, bool] = {"wss": True, "ws": False}
"""The schemes of WebSockets, and whether each is encrypted."""
HTTP: Mapping[str, bool] = {"https": True, "http": False}
TCP: Mapping[str, bool] = {"tcps": True, "tcp": False}
EXEC: Mapping[str, bool] = {"exec": True}
"""What a program of this machine is told does not leave it."""
BUILT_IN: Mapping[str, bool] = {**WEBSOCKET, **HTTP, **TCP, **EXEC}
"""The schemes that connections may have without any other package."""

FILES = "file://"
"""The address of a connector that reads files. Which ones, only the command line says."""


Family = Literal["websocket", "http", "tcp", "exec", "other"]
"""Which transport an address is for; ``other``: one of another package, or the files of a command line."""


def family(url: str) -> Family:
    """By the scheme of an address; one that only a live connection knows (``{$state.NAME}``) is for a WebSocket."""
    if url.startswith("{"):
        return "websocket"
    scheme = url.partition(":")[0].lower()
    for name, schemes in _FAMILIES.items():
        if scheme in schemes:
            return name
    return "other"


_FAMILIES: Mapping[Family, Mapping[str, bool]] = {"websocket": WEBSOCKET, "http": HTTP, "tcp": TCP, "exec": EXEC}


def in_the_clear(parts: SplitResult, secure: Secure) -> bool:
    """Whether anybody between this machine and another could read what goes to an address of a known scheme."""
    return not secure(parts.scheme) and not is_loopback(parts.hostname or "")
