"""Sockets through a SOCKS proxy: the one door to python-socks, which is an extra (`pip install 'k2conn[socks]'`).

The WebSocket library goes through it by itself; this is for the HTTP client.
"""

from __future__ import annotations

import socket

from k2conn.errors import TransportError
from k2conn.net.proxy import Proxy


def socks_socket(proxy: Proxy, host: str, port: int, within: float) -> socket.socket:
    """A connected socket to ``host`` through ``proxy``; blocks for at most ``within`` seconds. Raises TransportError
    with the cause ``proxy``. The ``h`` and ``a`` of socks5h and socks4a mean that the proxy looks the name up.
    """
    from python_socks import ProxyError, ProxyType
    from python_socks.sync import Proxy as SocksProxy

    kind = ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4
    far = proxy.scheme in ("socks5h", "socks4a")
    through = SocksProxy(kind, proxy.host, proxy.port, proxy.username or None, proxy.password or None, far)
    try:
        return through.connect(host, port, timeout=within)
    except TimeoutError:
        raise TransportError("proxy", f"{proxy}: no answer in time") from None
    except (ProxyError, OSError) as error:
        raise TransportError("proxy", f"{proxy}: {getattr(error, 'strerror', None) or error}") from None
