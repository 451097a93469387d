"""Frames with a few characters before their JSON: Socket.IO's events (``42["trade",{}]``) and SockJS's lists of texts
(``a["{}"]``). A draft reads them by the codec `prefixed`, and the connection's `each` makes plain messages of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from k2conn import exactjson
from k2conn.tools.drafting.recording import DraftFrame

EVENTS = "starts_with(prefix, '42') && [{event: body[0], data: body[1]}] || [@]"
TEXTS = "prefix == 'a' && body[*].from_json(@) || [@]"
_FRAME = re.compile(r"([0-9]{1,3}(?:/[A-Za-z0-9_./-]{1,40},)?[0-9]{0,6}|[aohcm])([\[{\"].*)?", re.DOTALL)
_OWN = frozenset({"0", "2", "3", "40"})
"""What Engine.IO says of itself: opened, a ping and its answer, connected."""


@dataclass(frozen=True, slots=True)
class PrefixedSample:
    """A sample whose frames have prefixes. ``frames``: the same frames with messages as a plan has them."""

    received: int
    """Frames that came, also those that only say that the connection is well."""
    frames: tuple[DraftFrame, ...]
    each: str
    steps: tuple[dict[str, Any], ...]
    """What is said before anything is subscribed."""
    answers: tuple[dict[str, Any], ...]
    heartbeat: dict[str, Any] | None
    ignore: tuple[str, ...]
    """The prefixes of frames that say nothing, and that nothing else takes."""


def prefixed(sample: Sequence[DraftFrame]) -> PrefixedSample | None:
    """A sample as what stands behind the prefixes of its frames; None where they have none."""
    split = [(frame, *_split(frame.text)) for frame in sample]
    kinds = {prefix for _, prefix, body in split if prefix and body is not None}
    events = any(prefix.startswith("42") for prefix in kinds)
    if (not events and "a" not in kinds) or any(prefix is None and not frame.sent for frame, prefix, _ in split):
        return None
    said = {prefix for frame, prefix, _ in split if frame.sent and prefix is not None}
    heard = {prefix for frame, prefix, _ in split if not frame.sent and prefix is not None}
    found: list[DraftFrame] = []
    for frame, prefix, body in split:
        if frame.sent:
            if prefix not in _OWN:
                found.append(frame if prefix is None else frame._replace(message=body))
        elif prefix is not None and prefix not in (*_OWN, "o", "h"):
            found += [frame._replace(message=one) for one in _messages(prefix, body)]
    return PrefixedSample(
        sum(not frame.sent for frame in sample), tuple(found), EVENTS if events else TEXTS, tuple(_steps(said, heard)),
        ({"when": {"prefix": "2"}, "send": "3"},) if "2" in heard else (), _heartbeat(split, heard),
        ("h",) if not events else (),
    )


def spell_behind_prefix(frame: DraftFrame, template: Any) -> Any:
    """What is sent, as text: behind the frame's prefix, with the engine's names inside the JSON."""
    prefix, _ = _split(frame.text)
    if prefix is None:
        return template
    text = exactjson.encode(_in_text(template)).decode()
    return prefix + re.sub(r'"\$(counter|now_\w+)"', r"{$\1}", text)


def _split(text: str) -> tuple[str | None, Any]:
    """A frame's prefix and what stands behind it; None where it is no such frame."""
    match = _FRAME.fullmatch(text)
    if match is None:
        return None, None
    try:
        return match[1], None if match[2] is None else exactjson.decode(match[2])
    except exactjson.JsonError:
        return None, None


def _messages(prefix: str, body: Any) -> Iterator[Any]:
    """What the connection's `each` makes of a frame."""
    if prefix.startswith("42") and isinstance(body, list) and body:
        yield {"event": body[0], "data": body[1] if len(body) > 1 else None}
    elif prefix == "a" and isinstance(body, list):
        for one in body:
            yield exactjson.decode(one) if isinstance(one, str) else one
    else:
        yield {"prefix": prefix, "body": body}


def _in_text(template: Any) -> Any:
    """A template whose names stand inside a text: a frame for each symbol, for a list has no place in one."""
    if isinstance(template, dict) and set(template) == {"$each_symbol"}:
        return [_in_text(template["$each_symbol"])]
    if isinstance(template, dict):
        return {key: _in_text(one) for key, one in template.items()}
    if isinstance(template, list):
        return [_in_text(one) for one in template]
    if isinstance(template, str) and template.startswith("$symbols"):
        return ["{" + template.replace("$symbols", "$symbol", 1) + "}"]
    if isinstance(template, str) and template.startswith("$") and not template.startswith(("$counter", "$now_")):
        return "{" + template + "}"
    return template


def _steps(said: set[str], heard: set[str]) -> Iterator[dict[str, Any]]:
    if "0" in heard:
        yield {"name": "open", "expect": {"accepted": {"prefix": "0"}}}
    if "o" in heard:
        yield {"name": "open", "expect": {"accepted": {"prefix": "o"}}}
    if "40" in heard:
        enter = {"name": "enter"} | ({"send": "40"} if "40" in said else {})
        yield {**enter, "expect": {"accepted": {"prefix": "40"}, "refused": {"prefix": "44"}, "reason": "body.message"}}


def _heartbeat(split: Sequence[tuple[DraftFrame, str | None, Any]], heard: set[str]) -> dict[str, Any] | None:
    """Our own pings, of which the welcome says how often: the server of Engine.IO's third version sends none."""
    if "3" not in heard or "2" in heard:
        return None
    welcome = next((body for frame, prefix, body in split if prefix == "0" and not frame.sent), None)
    every = welcome.get("pingInterval") if isinstance(welcome, dict) else None
    return {"every": f"{every} ms" if type(every) is int else "25s", "send": "2", "answer": {"prefix": "3"}}
