"""Compiles ``sign:``: HMAC signatures of requests and logins, over a text that the file declares.

The key comes from the environment, never from the file; what is signed and how it is spelled is the venue's rule.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.sections.addresses import SET_UP
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import SettingsError
from k2conn.plan import SendScope, Template

ALGORITHMS = {"hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512"}


def compile_signature(said: dict[str, Any], path: Path, note: CompileContext) -> Template | None:
    """The template of ``$signature``; None after noting what is wrong."""
    over = note.template(said["over"], (*path, "over"), SET_UP)
    key = note.template(said["key"], (*path, "key"), ("env",))
    if key is not None and not said["key"].startswith("$env."):
        note((*path, "key"), "secret", "a key is never written in a file: use $env.NAME")
        return None
    if over is None or key is None:
        return None
    unlock = _unlock(said.get("key_encoding", "text"), said["key"].removeprefix("$env."))
    spell = _spell(said.get("encoding", "hex"))
    digest = ALGORITHMS[said.get("algorithm", "hmac-sha256")]
    over_text, key_text = over.render, key.render

    def signature(scope: SendScope) -> str:
        secret = unlock(str(key_text(scope)))
        return spell(hmac.new(secret, str(over_text(scope)).encode(), digest).digest())

    return signature


def _unlock(encoding: str, variable: str) -> Callable[[str], bytes]:
    """A key's bytes; SettingsError names the variable and never shows the key."""

    def unlock(text: str) -> bytes:
        try:
            if encoding == "base64":
                return base64.b64decode(text, validate=True)
            return bytes.fromhex(text) if encoding == "hex" else text.encode()
        except (binascii.Error, ValueError):
            raise SettingsError(f"{variable}: the signing key is no {encoding}") from None

    return unlock


def _spell(encoding: str) -> Callable[[bytes], str]:
    return (lambda digest: base64.b64encode(digest).decode()) if encoding == "base64" else bytes.hex
