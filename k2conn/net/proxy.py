"""Which proxy a connection goes by: one rule for all doors, WebSockets and HTTP alike.

In this order:

1. the connector's own (``K2_<X>_PROXY``), for all of its addresses; ``direct`` there means none;
2. none to this machine, and none to a host that ``NO_PROXY`` names;
3. the environment's: ``HTTPS_PROXY`` for wss and https, ``HTTP_PROXY`` for ws and http, else (and for
   tcps and tcp only these) ``ALL_PROXY``, else ``SOCKS_PROXY``. Small letters do as well, and come first.

Kafka's own protocol goes by no proxy. A proxy's address may hold a password, so it is never shown whole.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import quote, unquote, urlsplit

from k2conn.errors import SettingsError
from k2conn.loopback import is_loopback
from k2conn.secret_mask import SECRETS

NONE = "direct"
"""What ``K2_<X>_PROXY`` says where a connector goes by no proxy."""
SCHEMES = ("http", "socks4", "socks4a", "socks5", "socks5h")
PORTS = {"http": 80}
SOCKS_PORT = 1080
_NAMES = {
    "wss": ("https_proxy", "all_proxy", "socks_proxy"),
    "https": ("https_proxy", "all_proxy", "socks_proxy"),
    "ws": ("http_proxy", "all_proxy", "socks_proxy"),
    "http": ("http_proxy", "all_proxy", "socks_proxy"),
    "tcps": ("all_proxy", "socks_proxy"),
    "tcp": ("all_proxy", "socks_proxy"),
}
"""The variables for each scheme of an address, in small letters, the first that is set counts."""
_TARGET_PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, or (``scheme`` is `NONE`) the word that there is none. ``said`` is the variable that names it."""

    said: str
    scheme: str
    host: str = ""
    port: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, else HTTP."""
        return self.scheme.startswith("socks")

    @property
    def url(self) -> str:
        """Its whole address, with the password: never for people."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        return f"{self.scheme}://{login}{_bracketed(self.host)}:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header by which an HTTP proxy knows us."""
        if not self.username:
            return {}
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {login}"}

    def __str__(self) -> str:
        return f"proxy {_bracketed(self.host)}:{self.port} ({self.said})"


def proxy_for(url: str, own: Proxy | None = None, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy for an address; None where it is reached directly. ``own``: the connector's. SettingsError names the
    variable whose proxy cannot be used.
    """
    if own is not None:
        return None if own.scheme == NONE else own
    variables = os.environ if environment is None else environment
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _TARGET_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None  # no address at all: whoever opens it says so
    said = next((one for name in _NAMES.get(parts.scheme, ()) if (one := _set(variables, name))), "")
    if not said or is_loopback(host) or bypassed(host, port, variables.get(_set(variables, "no_proxy"), "")):
        return None
    try:
        found = parse_proxy(said, variables[said].strip())
    except ValueError as error:
        raise SettingsError(f"{said}: {error}") from None
    return None if found.scheme == NONE else found


def parse_proxy(said: str, text: str) -> Proxy:
    """The proxy that a variable names; ValueError, without the text, for what is none or cannot be used."""
    if text.lower() == NONE:
        return Proxy(said, NONE)
    parts = urlsplit(text if "://" in text else f"http://{text}")
    scheme = "socks5h" if parts.scheme == "socks" else parts.scheme
    if scheme == "https":
        raise ValueError("say http:// for a proxy: what goes through it to https:// and wss:// is encrypted anyway")
    if scheme not in SCHEMES:
        raise ValueError(f"a proxy's address starts with http://, socks5h:// or socks5:// (or is the word {NONE})")
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("a proxy's port is a number from 1 to 65535") from None
    if not host or not host.isprintable() or re.search(r"\s", text) or port == 0:
        raise ValueError("a proxy's address names a host and a port, as in http://proxy.example:3128")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("a proxy's address ends with its port (in a password, # ? / are written %23 %3F %2F)")
    if scheme.startswith("socks") and find_spec("python_socks") is None:
        raise ValueError("a SOCKS proxy needs the package python-socks: pip install 'k2conn[socks]'")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    SECRETS.add(password, *((username,) if len(username) >= 8 else ()))
    return Proxy(said, scheme, host, port or PORTS.get(scheme, SOCKS_PORT), username, password)


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names a host: hosts and domains (with all below them), each with a port or not, addresses,
    networks (10.0.0.0/8), or ``*`` for all; separated by commas or spaces.
    """
    name = host.lower().rstrip(".")
    address = _address(name)
    return any(_matches(name, address, port, entry) for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry)


def _matches(host: str, address: Address | None, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address.version == network.version and address in network
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        if int(number) != port:
            return False
        entry = name.strip("[]")
        if address is not None:
            return _address(entry) == address
    if address is not None:
        return False  # a name is never a part of an address
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _set(variables: Mapping[str, str], name: str) -> str:
    """How a variable that is set is spelt, small letters first; empty where it is not set, or empty."""
    return next((one for one in (name, name.upper()) if variables.get(one, "").strip()), "")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
