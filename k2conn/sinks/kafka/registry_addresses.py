"""The addresses of a schema registry: one, or several of one registry, comma-separated."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def registry_urls(text: str) -> tuple[str, ...]:
    """The addresses, each once, in their order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def registry_problems(text: str) -> list[str]:
    """What is wrong with the setting: a text for each address that cannot be."""
    return [problem for url in registry_urls(text) if (problem := _problem(url))]


def _problem(url: str) -> str:
    if not url:
        return "registry_url: there is an empty address between commas"
    return f"registry_url {wrong}" if (wrong := wrong_url(url)) else ""


def wrong_url(url: str) -> str:
    """What is wrong with an http(s) address; empty where nothing is. It is repeated only where it can hold no key."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{_shown(url)} is no address with a host and a port from 1 to 65535"
    if "@" in parts.netloc:
        return "carries credentials; give them by their own settings instead"
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or any(map(str.isspace, url)):
        return f"{_shown(url)} is not an http:// or https:// address"
    if port == 0:
        return f"{_shown(url)}: no server has the port 0"
    if parts.query or parts.fragment or ";" in url:
        return f"{_shown(url)}: an address ends with its path; several are separated by commas"
    return ""


def _shown(url: str) -> str:
    """An address that is nothing but a scheme, a host, a port in digits and a path; else nothing of it."""
    return f"'{url}'" if _PLAIN.fullmatch(url) else "'...'"


_PLAIN = re.compile(r"([a-z]{1,10}://)?[A-Za-z0-9.\-\[\]]{0,253}(:[0-9]{1,9})?(/[A-Za-z0-9._\-/]{0,80})?")
