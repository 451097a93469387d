"""How the text of a setting is read, by kind. Each reader raises ValueError with what would be right; none repeats the
text.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from k2conn import exactjson
from k2conn.compiler.language.durations import duration
from k2conn.errors import SettingsError
from k2conn.net.proxy import Proxy, parse_proxy
from k2conn.net.tls import client_context

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)
LONGEST = 10 * 366 * 86400
"""Seconds of the longest duration."""
HIDDEN = frozenset({"secret", "proxy"})
"""Kinds whose text is never shown."""


def text_list(text: str) -> list[str]:
    """``A,B``, ``A B``, ``A, B`` or ``["A","B"]``; each once. ValueError where it holds separators or quotes of another
    notation, or nothing at all.
    """
    if text.startswith("["):
        try:
            found = exactjson.decode(text)
        except exactjson.JsonError as error:
            raise ValueError(f"no JSON list: {error}") from None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise ValueError('a JSON list of texts is needed: ["A", "B"]')
        found = [one.strip() for one in found if one.strip()]
    else:
        found = [part for part in re.split(r"[\s,]+", text) if part]
    if text and not found:
        raise ValueError("the list is empty: name at least one")
    for one in found:
        if any(mark in one for mark in ";\"'`"):
            raise ValueError('lists are written A,B or A B or ["A", "B"], without quotes or semicolons')
    return list(dict.fromkeys(found))


def seconds(text: str, unit: str = "s") -> float:
    """Seconds of a duration with a unit (``5s``, ``500ms``), or of a plain number of ``unit``."""
    text = text.strip()
    try:
        found = duration(f"{text}{unit}" if _PLAIN.fullmatch(text) else text)
    except ValueError:
        raise ValueError("a number or a duration with a unit is needed, such as 5, 5s, 500ms or 2m") from None
    if found > LONGEST:
        raise ValueError("no duration is longer than ten years")
    return found


def integer(text: str, least: int = 0, most: int = 10**15, what: str = "a whole number") -> int:
    """A whole number within bounds."""
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise ValueError(f"{what} is needed")
    return int(text)


def _text(text: str) -> str:
    if any(letter < " " or "\x7f" <= letter < "\xa0" for letter in text):
        raise ValueError("there is a line end or another control character in it")
    return text


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("say true or false")


def _positive_seconds(text: str) -> float:
    found = seconds(text)
    if found <= 0:
        raise ValueError("a number of seconds above 0 is needed, or a duration such as 5s")
    return found


def _milliseconds(text: str) -> int:
    try:
        found = seconds(text, "ms") * 1000
    except ValueError:
        raise ValueError("a whole number of milliseconds is needed, or a duration such as 10ms or 2s") from None
    if round(found) != round(found, 6):
        raise ValueError("a whole number of milliseconds is needed, or a duration such as 10ms or 2s")
    return round(found)


def _hours(text: str) -> float:
    found = seconds(text, "h") / 3600
    if not 1 <= found <= 24:
        raise ValueError("hours from 1 to 24 are needed, such as 4 or 90m")
    return found


def _list(text: str) -> list[str]:
    return text_list(text)


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return text


def _authorities(text: str) -> str:
    try:
        client_context(_file(text))
    except SettingsError:
        raise ValueError("no certificates in PEM are in that file") from None
    return text


def _proxy(text: str) -> Proxy:
    return parse_proxy("", text)


def _command(text: str) -> list[str]:
    """A program by its whole path, and its arguments, as a shell would split them; no shell is run."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("a quotation mark has no end") from None
    if not words or not words[0].startswith("/"):
        raise ValueError("a program is named by its whole path, as in /opt/bridge/bin/bridge")
    if not os.access(words[0], os.X_OK) or os.path.isdir(words[0]):
        raise ValueError("there is no program of that path that can be run")
    return words


def _share(text: str) -> float:
    if not re.fullmatch(r"0|1|[01]?\.[0-9]{1,9}", text.strip()) or Decimal(text) > 1:
        raise ValueError("a share from 0 to 1 is needed, such as 0.05")
    return int(Decimal(text) * 1_000_000) / 1_000_000


KINDS: Mapping[str, Callable[[str], Any]] = MappingProxyType({
    "text": _text,
    "command": _command,
    "secret": _text,
    "bool": _bool,
    "int": integer,
    "positive": partial(integer, least=1, what="a whole number above 0"),
    "replicas": partial(integer, least=1, most=8, what="a number of sockets from 1 to 8"),
    "port": partial(integer, most=65535, what="a port from 0 to 65535"),
    "seconds": seconds,
    "positive_seconds": _positive_seconds,
    "ms": _milliseconds,
    "hours": _hours,
    "share": _share,
    "list": _list,
    "path": Path,
    "file": _file,
    "authorities": _authorities,
    "proxy": _proxy,
})
"""The reader of each kind."""
