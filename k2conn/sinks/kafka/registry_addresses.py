"""The addresses of a schema registry: one, or several of one registry, comma-separated."""

from __future__ import annotations

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
    """What is wrong with an http(s) address; empty where nothing is. It is repeated only where it holds no password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return "'...' cannot be read" if "@" in url else f"{url!r}: {error}"
    if "@" in parts.netloc:
        # Not repeated in the text: it holds a password.
        return "carries credentials; give them by their own settings instead"
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or any(map(str.isspace, url)):
        return f"{url!r} is not an http:// or https:// address"
    if port == 0:
        return f"{url!r}: no server has the port 0"
    if parts.query or parts.fragment or ";" in url:
        return f"{url!r}: an address ends with its path; several are separated by commas"
    return ""
