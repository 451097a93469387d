"""Checks and compiles the addresses of connections and HTTP calls.

An address without encryption, or with a password in it, is refused.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from k2conn.compiler.expressions.templates import Compiled
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.learnt_authorities import learnt_authority
from k2conn.plan import Capture, HttpRequest
from k2conn.schemes import FILES, HTTP, TCP, Secure, family, in_the_clear

SET_UP = ("counter", "uuid", "now_s", "now_ms", "now_us", "state", "env")
"""Placeholders that have a meaning before anything is subscribed."""
URL = (*SET_UP, "symbol", "symbols", "topic", "topics")
_HOST = re.compile(r"[a-z][a-z0-9+.\-]*://([A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(?=[/?]|\Z)[^\s\0#]*\Z")


_OR_LEARNT = ", or captured, as in wss://{$state.host}:{$state.port}/path"
_PROGRAM = re.compile(r"exec://[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


def connection_url(url: str, path: Path, insecure: bool, note: CompileContext) -> Compiled | None:
    """The template of one connection's address; None after noting what is wrong with it."""
    compiled = note.template(url, path, URL)
    if compiled is None:
        return None
    if url.lower().startswith("file:"):
        if url == FILES:
            return compiled
        note(path, "url", f"which files are read, the command line says: write `url: {FILES}` and nothing behind it")
        return None
    if url.startswith("{$state."):
        return compiled  # the whole address comes from the venue; checked when it is known
    if family(url) == "exec":
        if _PROGRAM.fullmatch(url):
            return compiled
        note(path, "url", "a program is named, and the operator says what is run under that name: write "
                          "`url: exec://NAME` with small letters, digits and hyphens, and its arguments in `program:`")
        return None
    learnt = learnt_authority(url)
    parts = _split(url if learnt is None else learnt.example, note.secure, "wss://", path, note)
    if parts is None:
        return None
    if learnt is not None:
        compiled = compiled.rendered_by(learnt.checked(compiled.render))
    if parts.scheme in TCP and (parts.port is None or parts.path or parts.query):
        note(path, "url", f"an address of TCP is a host and a port, as in {parts.scheme}://example.com:8194")
        return None
    if not insecure and in_the_clear(parts, note.secure):
        other = f"{parts.scheme}s"
        wanted = f"use {other}://" if note.secure(other) else "use an encrypted one"
        text = f"{parts.scheme}:// sends everything in the clear: {wanted}, or say allow_insecure: true"
        note(path, "insecure", text)
        return None
    return compiled


def http_request(
    said: dict[str, Any], path: Path, note: CompileContext, signed: bool = False, allowed: tuple[str, ...] = SET_UP,
    place: Path | None = None,
) -> HttpRequest | None:
    """One HTTP call; None after noting what is wrong with its address. ``signed``: there is a ``$signature``;
    ``allowed`` are the other placeholders that have a meaning; ``place`` is the address's, where it is not `http`.
    """
    allowed = (*allowed, "signature") if signed else allowed
    place = place or (*path, "http")
    method, _, url = said["http"].partition(" ")
    compiled = note.template(url, place, allowed)
    parts = _split(url, HTTP.get, "https://", place, note)
    if parts and in_the_clear(parts, HTTP.get):
        note(place, "insecure", "http:// sends everything in the clear: use https://")
        parts = None
    captures: list[Capture] = []
    for name, text in said.get("capture", {}).items():
        value = note.expression(text, (*path, "capture", name), lenient=True)
        if value:
            captures.append(Capture(name, value.get))
    if "body" in said and "form" in said:
        note((*path, "form"), "value", "a call has a `body` (JSON) or a `form`, not both", at_key=True)
    headers, body, form = (
        note.template(said[key], (*path, key), allowed, key == "headers") if key in said else None
        for key in ("headers", "body", "form")
    )
    if compiled is None or parts is None:
        return None
    return HttpRequest(
        method=method,
        url=compiled.render,
        url_text=url,
        headers=headers.render if headers else None,
        body=body.render if body else None,
        form=form.render if form else None,
        capture=tuple(captures),
        within=note.positive(said["within"], (*path, "within")) if "within" in said else duration("10s"),
    )


def _split(url: str, secure: Secure, wanted: str, path: Path, note: CompileContext) -> SplitResult | None:
    """An address in its parts; None after noting that it is none, or carries a password."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            note(path, "secret", "an address carries no user and password: use $env.NAME in `headers:` or `send:`")
            return None
        right = _HOST.match(url) and secure(parts.scheme) is not None and parts.port != 0
    except ValueError:
        right = False
    if right:
        return parts
    note(path, "url", f"an address starts with {wanted} and a host that is written out, as {wanted}example.com/path"
                      f"{_OR_LEARNT if wanted == 'wss://' else ''}")
    return None
