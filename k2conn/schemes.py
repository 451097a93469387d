"""URL schemes as data, and the one rule about them: nothing goes to another machine in the clear, unless that is said.

The pure rooms check addresses without knowing the transports; they are given a `Secure` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import SplitResult

from k2conn.loopback import is_loopback

Secure = Callable[[str], bool | None]
"""Whether what goes to an address of a scheme is encrypted; None for a scheme that is not known."""

WEBSOCKET: Mapping[str, bool] = {"wss": True, "ws": False}
"""The schemes of the transport that is always there, and whether each is encrypted."""
HTTP: Mapping[str, bool] = {"https": True, "http": False}


FILES = "file://"
"""The address of a connector that reads files. Which ones, only the command line says."""


def in_the_clear(parts: SplitResult, secure: Secure) -> bool:
    """Whether anybody between this machine and another could read what goes to an address of a known scheme."""
    return not secure(parts.scheme) and not is_loopback(parts.hostname or "")
