"""Addresses whose host or port, or parts of them, are captured: ``wss://{$state.host}:{$state.port}/ws``.

What a venue says fills its place and nothing else: it makes neither a path nor a user of what stands for a host.
Whether the host that comes of it may be connected to is decided where the connection is made
(`k2conn.net.destinations`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from k2conn.compiler.expressions.templates import compile_template
from k2conn.errors import TransportError
from k2conn.plan import Json, SendScope, Template

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)([^/?#]*)(.*)", re.DOTALL)
_PLACE = re.compile(r"\{\$state\.([a-z][a-z0-9_]*)[^{}]*\}")
_WITH_PORT = re.compile(r":([0-9]+|\{[^{}]*\})\Z")
_HOST, _PORT = "[A-Za-z0-9_.-]+", "[0-9]{1,5}"


class LearntAuthority(NamedTuple):
    """What is captured of an address's host and port. ``example``: an address of the same form that is written out;
    ``host``: whether the host, or part of it, is captured; ``names``: under which names.
    """

    example: str
    host: bool
    names: frozenset[str]
    text: str
    """Host and port as they are written."""
    shape: re.Pattern[str]
    """What they must be when they are known."""

    def checked(self, render: Template) -> Template:
        """The address, filled in; TransportError where what fills host and port is more than that. It is not repeated:
        it may hold a token.
        """
        filled = compile_template(self.text).render

        def address(scope: SendScope) -> Json:
            if not self.shape.fullmatch(str(filled(scope))):
                raise TransportError("handshake", "the venue named a host or a port that cannot be")
            return render(scope)

        return address


def learnt_authority(url: str) -> LearntAuthority | None:
    """What of an address's host and port is captured; None where that is nothing, or the whole address."""
    found = _PARTS.match(url)
    if found is None or not _PLACE.search(found[2]) or "{$" in _PLACE.sub("", found[2]):
        return None
    scheme, authority, rest = found.groups()
    host, colon, port = authority.rpartition(":") if _WITH_PORT.search(authority) else (authority, "", "")
    example = _PLACE.sub("x", host) + colon + _PLACE.sub("1", port)
    return LearntAuthority(
        scheme + example + rest, bool(_PLACE.search(host)), frozenset(_PLACE.findall(authority)), authority,
        re.compile(_filled(host, _HOST) + colon + _filled(port, _PORT)),
    )


def _filled(text: str, what: str) -> str:
    """A pattern of a text in which each place holds something."""
    pieces = [re.escape(piece) for piece in re.split(r"\{\$state\.[^{}]*\}", text)]
    return what.join(pieces)
