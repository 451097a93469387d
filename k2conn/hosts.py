"""Hosts as addresses name them: which are public, which are this machine."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from k2conn.loopback import is_loopback

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_NOT_FOR_ALL = (ipaddress.ip_network("168.63.129.16/32"),)
"""Addresses that are public by their number, and a cloud's own service all the same."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 ones (NAT64): the last 32 bits."""


def host_of(url: str) -> str:
    """The host of an address, in small letters; empty where it is none, or known to a live connection only."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return "" if "{" in host else plain_host(host)


def is_public_host(host: str) -> bool:
    """Whether a host is not written as an address that is not public. Names are: what they resolve to is looked at
    later.
    """
    return not is_loopback(host) and (_address(host) is None or is_public(host))


def is_public(text: str) -> bool:
    """Whether an IP address belongs to a machine that anybody can reach."""
    address = _address(text)
    if address is None:
        return False
    inner = _within(address)
    if inner is not None:
        return is_public(str(inner))
    if any(address in one for one in _NOT_FOR_ALL if one.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _within(address: _Ip) -> _Ip | None:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _address(text: str) -> _Ip | None:
    """An address as a system reads it, in its old spellings too (``127.1``, ``0x7f000001``, ``2130706433``)."""
    plain = text.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(plain)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(plain)) if plain and plain[-1].isalnum() else None
    except (OSError, ValueError):
        return None


def plain_host(host: str) -> str:
    """A host as `host_of` has it."""
    return host.lower().strip("[]").rstrip(".")


def only_this_machine(name: str, told: Iterable[str]) -> bool:
    """Whether a host is this machine, for a connector that tells what it knows to this machine only (``told``)."""
    return is_loopback(name) and all(map(is_loopback, told))
