"""Which proxy an address goes by, and what is refused by name."""

from __future__ import annotations

import pytest

from k2conn.errors import SettingsError
from k2conn.net import proxy as proxies
from k2conn.net.proxy import Proxy, bypassed, parse_proxy, proxy_for


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("wss://v.example/x", {"HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("https://v.example/x", {"HTTPS_PROXY": "p:1"}, "HTTPS_PROXY"),
        ("https://v.example/x", {"https_proxy": "http://q:1", "HTTPS_PROXY": "http://p:1"}, "https_proxy"),
        ("https://v.example/x", {"https_proxy": "", "HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("wss://v.example/x", {"HTTP_PROXY": "http://p:1"}, None),
        ("ws://v.example/x", {"HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ("http://v.example/x", {"HTTPS_PROXY": "http://p:1"}, None),
        ("wss://v.example", {"ALL_PROXY": "socks5h://p:1"}, "ALL_PROXY"),
        ("http://v.example", {"all_proxy": "socks://p"}, "all_proxy"),
        ("wss://v.example", {"SOCKS_PROXY": "socks5://p:1"}, "SOCKS_PROXY"),
        ("wss://v.example", {"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "socks5h://q"}, "HTTPS_PROXY"),
        ("wss://v.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost, .example"}, None),
        ("wss://127.0.0.1:9", {"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, None),
        ("http://localhost:9", {"HTTP_PROXY": "http://p:1"}, None),
        ("wss://[::1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("wss://v.example", {}, None),
    ],
)
def test_the_rule(url: str, environment: dict[str, str], said: str | None) -> None:
    found = proxy_for(url, None, environment)
    assert (found.said if found is not None else None) == said


def test_a_connector_s_own_proxy_comes_before_all_others() -> None:
    environment = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}
    own = parse_proxy("K2_VENUE_PROXY", "http://own:3128")
    assert proxy_for("wss://v.example", own, environment) is own
    assert proxy_for("ws://127.0.0.1:1", own, environment) is own
    assert proxy_for("wss://v.example", parse_proxy("K2_VENUE_PROXY", "direct"), {"HTTPS_PROXY": "http://p:1"}) is None


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "expected"),
    [
        ("v.example", 443, "*", True),
        ("v.example", 443, "v.example", True),
        ("ws.v.example", 443, "v.example", True),
        ("ws.v.example", 443, ".v.example", True),
        ("ws.v.example", 443, "*.v.example", True),
        ("notv.example", 443, "v.example", False),
        ("V.Example.", 443, "a,v.EXAMPLE", True),
        ("v.example", 443, "v.example:443", True),
        ("v.example", 443, "v.example:8443", False),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.1.2.3:443", True),
        ("fd00::1", 443, "fd00::/8", True),
        ("fd00::1", 443, "[fd00::1]:443", True),
        ("10.1.2.3", 443, ".2.3", False),
        ("v.example", 443, "a b\tv.example", True),
        ("v.example", 443, ", ,", False),
        ("v.example", 443, "", False),
    ],
)
def test_no_proxy(host: str, port: int, no_proxy: str, expected: bool) -> None:
    assert bypassed(host, port, no_proxy) is expected


@pytest.mark.parametrize(
    ("text", "scheme", "port"),
    [("http://p", "http", 80), ("p:3128", "http", 3128), ("http://p:3128/", "http", 3128),
     ("socks://p", "socks5h", 1080),
     ("socks5://p:9", "socks5", 9), ("socks4a://p", "socks4a", 1080), ("http://[::1]:1", "http", 1)],
)
def test_how_a_proxy_is_written(text: str, scheme: str, port: int) -> None:
    found = parse_proxy("X", text)
    assert (found.scheme, found.port) == (scheme, port)


def test_a_login_is_kept_exactly_and_never_shown() -> None:
    found = parse_proxy("HTTPS_PROXY", "http://me%40corp:hunter2%2F%23@proxy.example:3128")
    assert (found.username, found.password) == ("me@corp", "hunter2/#")
    assert found.url == "http://me%40corp:hunter2%2F%23@proxy.example:3128"
    assert found.authorization == {"Proxy-Authorization": "Basic bWVAY29ycDpodW50ZXIyLyM="}
    assert "hunter2" not in f"{found} {found!r}"
    assert str(found) == "proxy proxy.example:3128 (HTTPS_PROXY)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://me:hunter2@p", "starts with http://"),
        ("https://me:hunter2@p:3128", "say http:// for a proxy"),
        ("http://me:hunter2@:1", "names a host"),
        ("http://me:hunter2@p:0", "names a host and a port"),
        ("http://me:hunter2@p:70000", "number from 1 to 65535"),
        ("http://me:hunter2@p:1/path", "ends with its port"),
        ("http://me:hunter2@p p:1", "names a host"),
    ],
)
def test_what_is_no_proxy_is_refused_by_the_variable_s_name(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        proxy_for("wss://v.example", None, {"ALL_PROXY": text})
    assert str(caught.value).startswith("ALL_PROXY: ")
    assert "hunter2" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"SOCKS_PROXY: .*python-socks: pip install 'k2conn\[socks\]'"):
        proxy_for("wss://v.example", None, {"SOCKS_PROXY": "socks5://p"})
    assert proxy_for("wss://v.example", None, {"HTTPS_PROXY": "http://p:1", "SOCKS_PROXY": "socks5://p"}) == Proxy(
        "HTTPS_PROXY", "http", "p", 1
    )
