"""Compression of a WebSocket's frames (permessage-deflate, RFC 7692), as it is offered in the handshake: pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

SMALLEST_WINDOW, LARGEST_WINDOW = 9, 15
"""Bits of a window; of 8, which the RFC allows, zlib makes no stream."""


@dataclass(frozen=True, slots=True)
class Compression:
    """The parameters, in the RFC's names. By default both sides keep their window from frame to frame, and choose its
    size.
    """

    server_no_context_takeover: bool = False
    """The server must begin every frame anew: it costs less memory and more bytes."""
    client_no_context_takeover: bool = False
    """We begin every frame anew."""
    server_max_window_bits: int | None = None
    """The server's window must be no larger."""
    client_max_window_bits: int | None = None
    """Our window is no larger; None: the server may say."""

    @property
    def text(self) -> str:
        """In words, for people."""
        said = [(one.name, getattr(self, one.name)) for one in fields(self)]
        words = [name if value is True else f"{name} {value}" for name, value in said if value]
        return ", ".join(words) or "on"


PLAIN = Compression()
"""What is offered where nobody says more."""
