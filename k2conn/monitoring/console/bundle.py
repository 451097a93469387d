"""The files that a browser loads: a page, its style and its modules, as they lie here; and what a browser may do with
them.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from k2conn.monitoring.replies import Headers, Reply
from k2conn.monitoring.requests import header_of

_FOLDER = Path(__file__).resolve().parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))
"""No script or style but these files, nothing from elsewhere, nowhere to be sent to, in nobody's frame; and no text
becomes markup: browsers that know trusted types refuse to make any of one.
"""
SAFE: Headers = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("X-Frame-Options", "DENY"),
)


class BundleFile(NamedTuple):
    """One file: content type, bytes, and what tells this version from others."""

    kind: str
    body: bytes
    tag: str


@cache
def bundle(folder: Path = _FOLDER) -> dict[str, BundleFile]:
    """The files of a folder by name, read once; else those of the console."""
    found = {}
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        found[path.name] = BundleFile(_KINDS[path.suffix], body, f'"{sha256(body).hexdigest()[:20]}"')
    return found


def bundle_reply(name: str, head: bytes, folder: Path = _FOLDER) -> Reply | None:
    """The file of that name; None where there is none."""
    file = bundle(folder).get(name)
    if file is None:
        return None
    headers = (*SAFE, ("Cache-Control", "no-cache"), ("ETag", file.tag))
    if header_of(head, "if-none-match") == file.tag:
        return Reply(304, file.kind, b"", headers)
    return Reply(200, file.kind, file.body, headers)
