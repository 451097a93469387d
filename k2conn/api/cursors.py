"""Cursors: where a page ended, in a text that only we write. It says nothing that its page did not say; the check is
there so that an odd or cut one is refused, and one of another question does not give a page of this.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

from k2conn import exactjson
from k2conn.api.asked import Asked

LONGEST = 200
_HEAD = struct.Struct(">Bq")
_VERSION = 1
_CHECK = 12


class Cursors:
    """Writes and reads cursors. ``key``: what they are signed with; those of another key are refused."""

    def __init__(self, key: str | None) -> None:
        self._key = hashlib.sha256(b"k2conn cursors " + (key or "").encode()).digest()

    def write(self, asked: Asked, place: tuple[int, str]) -> str:
        """The text of a place in the answer to a question."""
        body = _HEAD.pack(_VERSION, place[0]) + place[1].encode()
        return base64.urlsafe_b64encode(self._check(asked, body) + body).decode().rstrip("=")

    def read(self, asked: Asked, text: str) -> tuple[int, str]:
        """The place; ValueError for what is no cursor of this question."""
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("no cursor") from None
        check, body = whole[:_CHECK], whole[_CHECK:]
        if len(body) < _HEAD.size or not hmac.compare_digest(check, self._check(asked, body)):
            raise ValueError("no cursor of this question: take `next` of a page with the same parameters")
        version, time = _HEAD.unpack_from(body)
        if version != _VERSION:
            raise ValueError("a cursor of another version: begin anew")
        return time, body[_HEAD.size:].decode()

    def _check(self, asked: Asked, body: bytes) -> bytes:
        question = exactjson.encode([asked.kind, sorted(asked.texts.items()), asked.since, asked.until])
        return hmac.digest(self._key, question + b"\0" + body, "sha256")[:_CHECK]
