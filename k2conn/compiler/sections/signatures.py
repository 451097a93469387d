"""Compiles ``sign:``: signatures of requests and logins, over a text that the file declares, and signed tokens.

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
from k2conn.compiler.sections.web_tokens import compile_token, token_text, web_text
from k2conn.errors import MissingVariable, SettingsError
from k2conn.plan import SendScope, Template
from k2conn.signing import ENCODINGS, sign_with_pair

_DIGESTS = {"hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512"}
_HMAC_ENCODINGS = ("text", "base64", "hex")
Signer = Callable[[str, bytes], bytes]
"""From the key as its variable says it, and the text, to the signature."""


def compile_signature(said: dict[str, Any], path: Path, note: CompileContext) -> Template | None:
    """The template of ``$signature``; None after noting what is wrong."""
    if ("over" in said) == ("jwt" in said):
        note(path, "value", "say one of the two: `over`, the text that is signed, or `jwt`, a token that is")
        return None
    key = note.template(said["key"], (*path, "key"), ("env",))
    if key is not None and not said["key"].startswith("$env."):
        note((*path, "key"), "secret", "a key is never written in a file: use $env.NAME")
        return None
    algorithm = said.get("algorithm", "hmac-sha256")
    encodings = ENCODINGS.get(algorithm, _HMAC_ENCODINGS)
    encoding = said.get("key_encoding", encodings[0])
    if encoding not in encodings:
        note((*path, "key_encoding"), "value",
             f"a key of {algorithm} is written as {' or '.join(encodings)}, not as {encoding}")
        return None
    if "jwt" in said and "encoding" in said:
        note((*path, "encoding"), "value", "how a token is written follows from `jwt`", at_key=True)
        return None
    over = _signed(said, algorithm, path, note)
    if over is None or key is None:
        return None
    sign = _signer(algorithm, encoding, said["key"].removeprefix("$env."))
    spell = _spell(said.get("encoding", "base64" if algorithm in ENCODINGS else "hex"))
    key_text = _lines(said["key"].removeprefix("$env.")) if encoding == "pem" else key.render

    def signature(scope: SendScope) -> str:
        return spell(sign(str(key_text(scope)), str(over(scope)).encode()))

    def token(scope: SendScope) -> str:
        text = str(over(scope))
        return f"{text}.{web_text(sign(str(key_text(scope)), text.encode()))}"

    return token if "jwt" in said else signature


def _signed(said: dict[str, Any], algorithm: str, path: Path, note: CompileContext) -> Template | None:
    """What is signed; None after noting what is wrong with it."""
    if "jwt" in said:
        return compile_token(said["jwt"], algorithm, (*path, "jwt"), note)
    over = note.template(said["over"], (*path, "over"), SET_UP)
    return over.render if over is not None else None


def signature_text(said: dict[str, Any]) -> str:
    """What ``explain`` and ``plan`` show of it: the variable's name, never what it holds."""
    algorithm = said.get("algorithm", "hmac-sha256")
    encoding = said.get("encoding", "base64" if algorithm in ENCODINGS else "hex")
    written = said.get("key_encoding", ENCODINGS.get(algorithm, _HMAC_ENCODINGS)[0])
    if "jwt" in said:
        return f"{token_text(said['jwt'])}   by {algorithm} with {said['key']} ({written})"
    return f"{said.get('over', '')}   by {algorithm} with {said['key']} ({written}), as {encoding}"


def _signer(algorithm: str, encoding: str, variable: str) -> Signer:
    """SettingsError of the signer names the variable and never shows the key. Where tests and simulated venues have no
    private key, its variable's name stands for it, and signs as an HMAC's key would.
    """
    if algorithm in ENCODINGS:
        return lambda key, text: (
            hmac.new(key.encode(), text, "sha256").digest() if key == variable
            else sign_with_pair(algorithm, encoding, variable, key, text)
        )
    return lambda key, text: hmac.new(_unlocked(key, encoding, variable), text, _DIGESTS[algorithm]).digest()


def _lines(variable: str) -> Template:
    """A key of several lines, which nothing else of a variable may have: the rest is sent as it stands."""

    def lines(scope: SendScope) -> str:
        found = scope.environment.get(variable, "").strip()
        if not found:
            raise MissingVariable(variable)
        return found

    return lines


def _unlocked(key: str, encoding: str, variable: str) -> bytes:
    try:
        if encoding == "base64":
            return base64.b64decode(key, validate=True)
        return bytes.fromhex(key) if encoding == "hex" else key.encode()
    except (binascii.Error, ValueError):
        raise SettingsError(f"{variable}: the signing key is no {encoding}") from None


def _spell(encoding: str) -> Callable[[bytes], str]:
    return (lambda digest: base64.b64encode(digest).decode()) if encoding == "base64" else bytes.hex
