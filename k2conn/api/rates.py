"""How often a client may ask: a bucket of tokens for each, of a bounded number of clients."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

CLIENTS = 10_000
"""Clients whose buckets are kept; the one that asked longest ago is forgotten, and begins anew."""


class Rates:
    """Buckets of ``per_minute`` tokens, filled evenly. 0: no bound."""

    def __init__(self, per_minute: int, clients: int = CLIENTS) -> None:
        self._most = per_minute
        self._clients = clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """A client -> (tokens, when that was), the one that asked last at the end."""

    def wait(self, client: str, now: float) -> float:
        """Takes a token: 0, or in how many seconds there is one."""
        if not self._most:
            return 0.0
        tokens, then = self._buckets.pop(client, (self._most, now))
        tokens = min(self._most, tokens + max(0.0, now - then) * self._most / 60)
        wait = 0.0 if tokens >= 1 else (1 - tokens) * 60 / self._most
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
        return wait


def client_of(address: str) -> str:
    """Whose bucket: the address, of IPv6 the network of 64 bits that one client has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
