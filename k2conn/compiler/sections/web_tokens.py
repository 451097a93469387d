"""Compiles ``jwt:`` of ``sign:``: what is signed of a JSON Web Token (RFC 7519), which `$signature` is as a whole."""

from __future__ import annotations

import base64
from typing import Any

from k2conn import exactjson
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.sections.addresses import SET_UP
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import SendScope, Template

_NAMES = {
    "hmac-sha256": "HS256", "hmac-sha384": "HS384", "hmac-sha512": "HS512", "ed25519": "EdDSA", "rsa-sha256": "RS256",
    "rsa-pss-sha256": "PS256", "ecdsa-p256-sha256": "ES256",
}
"""What a token's header calls each algorithm (RFC 7518, RFC 8037)."""
_OURS = ("alg", "typ")


def compile_token(said: dict[str, Any], algorithm: str, path: Path, note: CompileContext) -> Template | None:
    """The template of a token without its signature; None after noting what is wrong."""
    more = said.get("header", {})
    for name in _OURS:
        if name in more:
            note((*path, "header", name), "value", f"`{name}` of a token's header follows from `algorithm`")
            return None
    if "lifetime" in said and "exp" in said["claims"]:
        note((*path, "lifetime"), "value", "`exp` is said twice: by `lifetime`, and in `claims`", at_key=True)
        return None
    header = note.template(more, (*path, "header"), SET_UP)
    claims = note.template(said["claims"], (*path, "claims"), SET_UP)
    seconds = note.positive(said["lifetime"], (*path, "lifetime")) if "lifetime" in said else 0.0
    if seconds % 1:
        note((*path, "lifetime"), "value", "the times in a token are whole seconds")
        return None
    lifetime = int(seconds)
    if header is None or claims is None:
        return None
    first, rest = {"alg": _NAMES[algorithm], "typ": "JWT"}, header.render
    claimed = claims.render

    def token(scope: SendScope) -> str:
        whole: Any = {**first, **_object(rest(scope))}
        body = _object(claimed(scope))
        if lifetime:
            body = {**body, "exp": scope.now_us // 1_000_000 + lifetime}
        return f"{web_text(exactjson.encode(whole))}.{web_text(exactjson.encode(body))}"

    return token


def token_text(said: dict[str, Any]) -> str:
    """What ``explain`` and ``plan`` show of it."""
    words = f"a JWT of {exactjson.spell(said['claims'])}"
    words += f" and the header {exactjson.spell(said['header'])}" if said.get("header") else ""
    return words + (f", for {duration(said['lifetime']):g} s" if "lifetime" in said else "")


def web_text(raw: bytes) -> str:
    """Base64 as it stands in a token: two other characters, and nothing to fill it up."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
