"""Where a connector's connections may go: one rule for WebSockets and HTTP.

- to the hosts that its file writes out, and to those that the operator set in their place;
- where a venue names the address (``{$state.NAME}``), to these, and to what ``hosts:`` in the file allows;
- to an address that is not public (a private network, a cloud's metadata) only where the operator writes just that
  host out, or allows them all (``K2_<X>_ALLOW_PRIVATE_HOSTS``). A file may name this machine, and only where all that
  its sockets and ``before`` calls lead to is this machine: else it could carry to the outside what it finds inside.

The addresses that a name is resolved to are looked at, and the connection is made to one that was looked at: a second
answer of a name server decides nothing. Behind a proxy it is the proxy that resolves names.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from k2conn.clock import monotonic
from k2conn.errors import TransportError
from k2conn.hosts import is_public, is_public_host, only_this_machine, plain_host

CAUSE = "forbidden-host"
"""The `TransportError.cause` of an address that is refused."""
Place = tuple[socket.AddressFamily, tuple[str | int, ...]]
"""What a socket connects to."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """The hosts a connector may connect to.

    ``declared``: written out in its file, ``*.example.com`` for all below example.com. ``given``: the operator's own.
    ``told``: those that are told what others have answered. ``private``: the operator allows addresses that are not
    public, by the variable ``allowed_by``.
    """

    declared: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    private: bool = False
    allowed_by: str = "K2_<X>_ALLOW_PRIVATE_HOSTS"

    def check(self, host: str) -> None:
        """TransportError for a host that nobody named, or one that is written as an address that is refused."""
        name = plain_host(host)
        if not self._named(name):
            raise TransportError(CAUSE, f"the venue named the host {name[:253]}, which neither the file nor a setting "
                                        "names: where it is right, say it in `hosts:` of the connection")
        if not is_public_host(name) and not self.may_be_private(name):
            raise TransportError(CAUSE, f"{name[:253]} {self._why()}")

    def places(self, host: str, found: Iterable[tuple[object, ...]]) -> list[Place]:
        """Of what `socket.getaddrinfo` answered, where a connection may go, in its order. TransportError where that is
        nowhere.
        """
        name = plain_host(host)
        every = [(family, address) for family, _, _, _, address in found]
        allowed: list[Place] = [
            (family, address) for family, address in every  # type: ignore[misc]
            if self.may_be_private(name) or is_public(str(address[0]))  # type: ignore[index]
        ]
        if not allowed:
            raise TransportError(CAUSE, f"{name} resolves to an address that {self._why()}")
        return allowed

    def _named(self, name: str) -> bool:
        if name in self.declared or name in self.given:
            return True
        return any(name.endswith(one[1:]) for one in self.declared if one.startswith("*."))

    def may_be_private(self, name: str) -> bool:
        """Whether a host of that name, in small letters, may have an address that is not public."""
        if self.private or name in self.given:
            return True
        return name in self.declared and only_this_machine(name, self.told)

    def _why(self) -> str:
        return f"is not public (this machine, or a private network): {self.allowed_by}=true where that is meant"


def open_socket(host: str, port: int, within: float, allowed: Destinations | None) -> socket.socket:
    """A connected socket; blocks. OSError where nobody answers, TransportError for what is not allowed."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failed: OSError = OSError("there is no address of that name")
    until = monotonic() + within
    for family, address in _places(host, found, allowed):
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(max(0.01, until - monotonic()))
            opened.connect(address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        except OSError as error:
            opened.close()
            failed = error
    raise failed


async def open_socket_async(host: str, port: int, allowed: Destinations | None) -> socket.socket:
    """As `open_socket`, without a bound of its own, for an event loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failed: OSError = OSError("there is no address of that name")
    for family, address in _places(host, found, allowed):
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, address)
            return opened
        except OSError as error:
            opened.close()
            failed = error
        except BaseException:  # cancelled, above all: a socket that is not handed on is closed
            opened.close()
            raise
    raise failed


def _places(host: str, found: Iterable[tuple[object, ...]], allowed: Destinations | None) -> Iterator[Place]:
    yield from (allowed or Destinations(private=True)).places(host, found)
