"""What a listener of `/tap` wants, from the query of its request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from k2conn.errors import SettingsError
from k2conn.monitoring.requests import BadRequest
from k2conn.scope import Scope

RATE = 100
"""Lines a second, where the listener does not say."""
MOST_RATE = 10_000
_KINDS = ("received", "sent", "record", "dead", "opened", "ended", "answered", "carried")

Condition = Callable[[Any, Scope], bool]
Compile = Callable[[str], Condition]
"""Makes a condition of its text; SettingsError where that is none."""


@dataclass(frozen=True, slots=True)
class TapFilter:
    """What a listener wants to see. ``rate``: lines a second; ``count``: then it ends (0: never); ``query``: the same
    as it was asked for.
    """

    connectors: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("record", "dead")
    where: Condition | None = None
    rate: int = RATE
    count: int = 0
    trace: bool = False
    query: str = ""


def asked_tap(query: str, compile_condition: Compile) -> TapFilter:
    """What the query of a request says; BadRequest with all that is wrong."""
    problems: list[str] = []
    said: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True)[:50]:
        said.setdefault(name, []).extend(one for one in ([value] if name == "where" else value.split(",")) if one)
    if unknown := said.keys() - {"connector", "stream", "symbol", "kind", "where", "rate", "count", "trace"}:
        problems.append(f"nobody knows {', '.join(sorted(unknown))}")
    kinds = tuple(said.get("kind", ("record", "dead")))
    if wrong := [one for one in kinds if one not in _KINDS]:
        problems.append(f"kind {', '.join(wrong)}: there are {', '.join(_KINDS)}")
    numbers = {}
    for name, most, default in (("rate", MOST_RATE, RATE), ("count", 10**9, 0)):
        text = said.get(name, [str(default)])[-1]
        numbers[name] = int(text) if text.isdecimal() and text.isascii() and len(text) < 12 else -1
        if not 0 <= numbers[name] <= most or (name == "rate" and not numbers[name]):
            problems.append(f"{name}: a whole number up to {most}")
    where = None
    if text := " && ".join(f"({one})" for one in said.get("where", ())):
        try:
            where = compile_condition(text)
        except SettingsError as error:
            problems.append(f"where: {error}")
    if problems:
        raise BadRequest(400, "; ".join(problems)[:1000])
    connectors, streams, symbols = (tuple(said.get(name, ())) for name in ("connector", "stream", "symbol"))
    trace = said.get("trace", ["0"])[-1] not in ("0", "false")
    return TapFilter(connectors, streams, symbols, kinds, where, numbers["rate"], numbers["count"], trace, query)
