"""Secrets that are planted in the process's environment, and the search for them in whatever the process wrote."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from functools import cache
from urllib.parse import quote, quote_plus

KEY = 'k3y-"q\\s/+%&<>=~-6f1e9c0d'
"""Every character that some spelling writes in another way; no control characters, which no key may have."""


def spellings(secret: str) -> dict[str, str]:
    """The ways in which a venue may repeat it, by name."""
    quoted = json.dumps(secret)[1:-1]
    return {
        "plain": secret,
        "json": quoted,
        "json in json": json.dumps(quoted)[1:-1],
        "percent": quote(secret, safe=""),
        "percent, slashes plain": quote(secret),
        "form": quote_plus(secret),
        "html": html.escape(secret),
        "base64": base64.b64encode(secret.encode()).decode().rstrip("="),
    }


@cache
def needles(secret: str) -> tuple[tuple[str, bytes], ...]:
    """What is looked for: every spelling, and each of the first two within a longer text in base64 (a raw frame)."""
    found = {name: text.encode() for name, text in spellings(secret).items()}
    for name in ("plain", "json"):
        for shift in range(3):
            found[f"{name} in base64 ({shift})"] = _inside(found[name], shift)
    return tuple(found.items())


def _inside(data: bytes, shift: int) -> bytes:
    """The letters that stand for ``data`` in base64, wherever it begins; those that depend on neighbours left out."""
    letters = base64.b64encode(b"\0" * shift + data + b"\0" * (-(shift + len(data)) % 3))
    end = (shift + len(data)) * 8 // 6
    return letters[-(-shift * 8 // 6) : end]


def leaks(where: str, data: bytes, secrets: dict[str, str]) -> Iterator[str]:
    """Each spelling of each secret that stands in ``data``, with its place."""
    for name, secret in secrets.items():
        for spelling, needle in needles(secret):
            if (at := data.find(needle)) >= 0:
                around = data[max(0, at - 60) : at].decode("utf-8", "replace")
                yield f"{where}: {name} ({spelling}) after {around!r}"
