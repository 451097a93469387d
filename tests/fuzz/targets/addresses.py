"""Addresses from everywhere (connector files, settings, the environment, a venue's answers): used or refused with a
reason; and nothing that is let through goes to another machine in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from k2conn.compiler.language.document import Document
from k2conn.compiler.sections.addresses import connection_url, http_request
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import SettingsError
from k2conn.loopback import is_loopback
from k2conn.net.proxy import bypassed, parse_proxy, proxy_for
from k2conn.schemes import HTTP, WEBSOCKET
from k2conn.settings.addresses import wrong_address
from k2conn.sinks.kafka.registry_addresses import registry_problems, registry_urls, wrong_url

TRACED = (
    "k2conn.compiler.sections.addresses",
    "k2conn.loopback",
    "k2conn.net",
    "k2conn.schemes",
    "k2conn.settings.addresses",
    "k2conn.sinks.kafka.registry_addresses",
)
WORDS = (
    b"wss://",
    b"ws://",
    b"https://",
    b"http://",
    b"socks5h://",
    b"localhost",
    b"127.0.0.1",
    b"[::1]",
    b"0x7f.1",
    b"127.1",
    b"2130706433",
    b"@",
    b":443",
    b":0",
    b":99999",
    b"#",
    b"?",
    b"%2f",
    b"\\",
    b"{$state.x}",
    b"{$env.KEY}",
    b"GET ",
    b"[",
    b"]",
    b"..",
    b"::ffff:127.0.0.1",
    b"\xe3\x80\x82",
    b"10.0.0.0/8",
    b"*.example.com",
    b",",
)


def seeds() -> Iterator[bytes]:
    """Texts."""
    for text in (
        "wss://venue.example/ws",
        "ws://localhost:8080/x",
        "ws://[::1]:1/",
        "wss://a.example:443/{$symbol}?k=v",
        "https://user:secret@host.example/",
        "http://127.0.0.1:80",
        "socks5h://u:p@proxy.example:1080",
        "direct",
        "proxy.example:3128",
        "http://a,https://b:8081",
        "{$state.url}",
        "wss://127.0.0.1.example/",
        "ws://0/",
        "10.0.0.0/8, .example.com:443 *",
        "wss://venue.example#x",
        "wss:venue",
        "wss://\u3002example",
        "https://[fe80::1%25x]/",
    ):
        yield text.encode()


def target(data: bytes) -> None:
    """One text in every place where an address is read."""
    text = data.decode("utf-8", "surrogateescape")
    check_connection(text)
    check_call(text)
    check_settings(text)
    check_proxies(text)


def noted() -> CompileContext:
    """A connector file without anything in it."""
    return CompileContext(Document("venue.yaml"))


def private(url: str) -> bool:
    """Whether nobody between this machine and another can read what goes to an address."""
    parts = urlsplit(url)
    return parts.scheme in ("wss", "https") or is_loopback(parts.hostname or "")


def check_connection(text: str) -> None:
    """A connection's `url:`."""
    note = noted()
    found = connection_url(text, ("url",), False, note)
    assert (found is None) == bool(note.document.problems)
    if found is not None and not text.startswith("{$state."):
        assert private(text)
        assert "@" not in urlsplit(text).netloc


def check_call(text: str) -> None:
    """An HTTP call."""
    note = noted()
    found = http_request({"http": f"GET {text}"}, ("call",), note)
    assert (found is None) == bool(note.document.problems)
    if found is not None:
        assert private(text)
        assert "@" not in urlsplit(text).netloc


def check_settings(text: str) -> None:
    """Addresses in settings: of a registry, of anything else."""
    if not wrong_address(text, "wss", WEBSOCKET.get):
        assert private(text)
    if not wrong_address(text, "https", HTTP.get):
        assert private(text)
    problems = registry_problems(text)
    assert problems or registry_urls(text)
    if "@" in text and text in wrong_url(text):
        assert "@" not in urlsplit(text).netloc, "a password is repeated"
    is_loopback(text)


def check_proxies(text: str) -> None:
    """What the environment says of proxies."""
    with suppress(ValueError):
        proxy = parse_proxy("HTTPS_PROXY", text)
        assert isinstance(proxy.url, str)
        assert not proxy.password or len(proxy.password) < 4 or f":{proxy.password}@" not in str(proxy)
        assert proxy.authorization is not None
    with suppress(SettingsError):
        proxy_for("wss://venue.example/", None, {"HTTPS_PROXY": text, "NO_PROXY": text})
    with suppress(SettingsError):
        proxy_for(text, None, {"ALL_PROXY": "http://proxy.example", "no_proxy": text})
    bypassed(text, 443, text)
    bypassed("venue.example", 443, text)
    bypassed("127.0.0.1", 443, text)
