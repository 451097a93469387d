"""The venue's own pings, and what answers them: its words with pong for ping, and what it sent with them sent back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from k2conn.tools.drafting.leaves import spelled
from k2conn.tools.drafting.recording import DraftFrame

_PING = re.compile("ping", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def answers(frames: Sequence[DraftFrame]) -> list[dict[str, Any]]:
    """An entry of `answer` for each kind of ping among some messages."""
    found = [one for frame in frames if (one := _answer(frame.message)) is not None]
    return [one for at, one in enumerate(found) if one["when"] not in [before["when"] for before in found[:at]]]


def _answer(message: Any) -> dict[str, Any] | None:
    if isinstance(message, str):
        return {"when": {"@": message}, "send": _ponged(message)} if _PING.fullmatch(message.strip()) else None
    if not isinstance(message, dict) or not all(_PLAIN.match(key) for key in message):
        return None
    told = dict(_telling(message))
    return {"when": told, "send": {_ponged(key): _echo(key, value) for key, value in message.items()}} if told else None


def _telling(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members that say that it is a ping: those that have the word, else those of that name."""
    said = [(key, value) for key, value in message.items() if isinstance(value, str) and _PING.fullmatch(value)]
    yield from said or [(key, "$present") for key in message if _PING.fullmatch(key)]


def _echo(key: str, value: Any) -> Any:
    if isinstance(value, str) and _PING.fullmatch(value):
        return _ponged(value)
    return f"$message.{spelled((key,))}"


def _ponged(text: str) -> str:
    """The word pong in the case of the word ping."""
    return _PING.sub(lambda found: "PONG" if found[0].isupper() else "Pong" if found[0][0].isupper() else "pong", text)
