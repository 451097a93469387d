"""The conversation: steps out of the frames that were sent, where a recording has them, and what answers them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2conn import exactjson
from k2conn.tools.drafting.leaves import Path, scalars, spelled
from k2conn.tools.drafting.recording import DraftFrame
from k2conn.tools.drafting.words import (
    ACK_WORDS,
    BEAT_WORDS,
    BOOK_WORDS,
    CANDLE_WORDS,
    ERROR_WORDS,
    QUOTE_WORDS,
    TRADE_WORDS,
    folded,
    words,
)

_STEPS = 6
_SECRET = re.compile(r"pass|pwd|token|secret|key|sign|auth|credential|login", re.IGNORECASE)
_NUMBERS = frozenset({"id", "reqid", "requestid", "rid", "seq", "cid", "messageid"})
"""Keys of the number that tells requests apart, which the answer repeats."""
_SAID = frozenset({"event", "method", "op", "action", "type", "status", "success", "ok", "response", "result", "code",
                   "cmd", "command", "messagetype", "retcode", "retmsg", "channel", "ret"})
"""Keys of an answer that say what it answers, and whether it says yes."""
_LEAVING = frozenset({"unsubscribe", "unsub", "logout", "close"})
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_RECORDS = {"trade": TRADE_WORDS, "quote": QUOTE_WORDS | BOOK_WORDS, "candle": CANDLE_WORDS}
_CHANNELS = TRADE_WORDS | QUOTE_WORDS | BOOK_WORDS | CANDLE_WORDS


@dataclass(frozen=True, slots=True)
class DraftStep:
    """One thing that is said after connecting. ``expect``: what the answer looks like; None where none is known."""

    send: Any
    streams: tuple[str, ...]
    expect: Mapping[str, Any] | None
    times: int
    """How often it was said in the sample."""


@dataclass(frozen=True, slots=True)
class DraftConversation:
    """What was said, and what was left out of it."""

    steps: tuple[DraftStep, ...] = ()
    pings: tuple[DraftFrame, ...] = ()
    secret: int = 0
    """Frames that seem to carry a key or a token, which is not copied into a file."""
    expect: Mapping[str, Any] | None = None
    """What an acknowledgement looks like, where nothing that was sent is known."""


NOTHING_SAID = DraftConversation()


def conversation(
    frames: Sequence[DraftFrame], acknowledgements: Sequence[DraftFrame], symbols: Sequence[str],
    streams: Mapping[str, str], spell: Callable[[DraftFrame, Any], Any],
) -> DraftConversation:
    """The steps, out of all frames in their order. ``streams``: the drafted streams, and the record type of each;
    ``spell``: what is sent, of a frame's message with the engine's names in it.
    """
    names = [name for name in dict.fromkeys(symbols) if len(name) > 1]
    steps: dict[str, DraftStep] = {}
    pings: list[DraftFrame] = []
    secret = 0
    for at, frame in enumerate(frames):
        if not frame.sent:
            continue
        said = words(_texts(frame.message))
        if said & BEAT_WORDS:
            pings.append(frame)
        elif _carries_secret(frame.message):
            secret += 1
        elif not said & _LEAVING and isinstance(frame.message, (dict, list)):
            template = _template(frame.message, names)
            key = exactjson.spell(template)
            if key in steps or len(steps) < _STEPS:
                before = steps[key].times if key in steps else 0
                wanted = _wanted(said, streams) if _has_symbol(template) else ()
                answers = _answers(frames, at, acknowledgements)
                steps[key] = DraftStep(spell(frame, template), wanted, _expected(answers, names, template), before + 1)
    answer = _expected(acknowledgements, names, None)
    return DraftConversation(tuple(steps.values()), tuple(pings[:1]), secret, answer)


def spell_as_it_is(frame: DraftFrame, template: Any) -> Any:
    """A frame that is JSON is sent as its template stands."""
    return template


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
        yield from (key for key, one in value.items() if one and not isinstance(one, (bool, int)))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _carries_secret(message: Any) -> bool:
    if isinstance(message, dict):
        return any(_SECRET.search(key) or _carries_secret(one) for key, one in message.items())
    return isinstance(message, list) and any(map(_carries_secret, message))


# -- what is sent


def _template(value: Any, names: Sequence[str], key: str = "") -> Any:
    """A message with the engine's names in the place of symbols and numbers."""
    if isinstance(value, dict):
        return {name: _template(one, names, name) for name, one in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(one, str) and _form_of(one, names) for one in value):
            forms = list(dict.fromkeys(_form_of(one, names) for one in value))
            if forms[0] in ("$symbol", "$symbol.lower", "$symbol.upper") and len(forms) == 1:
                return str(forms[0]).replace("$symbol", "$symbols")
            return forms
        made = [_template(one, names, key) for one in value]
        if made and all(isinstance(one, dict) and _has_symbol(one) and one == made[0] for one in made):
            return {"$each_symbol": made[0]}
        return made
    if isinstance(value, str):
        if _UUID.match(value):
            return "$uuid"
        return _form_of(value, names) or value
    if isinstance(value, int) and not isinstance(value, bool) and folded(key) in _NUMBERS:
        return "$counter"
    return value


def _form_of(text: str, names: Sequence[str]) -> str | None:
    """A text with ``$symbol`` in the place of a name; None where it has none."""
    for name in sorted(names, key=len, reverse=True):
        for spelling, word in ((name, "$symbol"), (name.lower(), "$symbol.lower"), (name.upper(), "$symbol.upper")):
            if text == spelling:
                return word
            start = text.find(spelling)
            if start >= 0 and not _goes_on(text, start, start + len(spelling)):
                return f"{text[:start]}{{{word}}}{text[start + len(spelling):]}"
    return None


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether what was found is only a part of a word."""
    return (start > 0 and text[start - 1].isalnum() and text[start - 1].isupper() == text[start].isupper()
            and not text[start - 1].islower()) or (end < len(text) and text[end].isalnum())


def _has_symbol(template: Any) -> bool:
    return "$symbol" in exactjson.spell(template)


def _wanted(said: frozenset[str], streams: Mapping[str, str]) -> tuple[str, ...]:
    """The streams that a request names; all where it names none."""
    first: dict[str, str] = {}
    for name, record in streams.items():
        first.setdefault(record, name)
    named = [name for record, name in first.items() if said & _RECORDS.get(record, frozenset())]
    return tuple(named or list(first.values()))


# -- what is answered


def _answers(
    frames: Sequence[DraftFrame], at: int, acknowledgements: Sequence[DraftFrame]
) -> list[DraftFrame]:
    """The acknowledgements that came before anything else was sent; where none did, all that came later."""
    later = [frame.text for frame in frames[at + 1 :] if not frame.sent]
    end = next((place for place in range(at + 1, len(frames)) if frames[place].sent), len(frames))
    soon = {frame.text for frame in frames[at + 1 : end]}
    return [one for one in acknowledgements if one.text in soon] or [
        one for one in acknowledgements if one.text in later
    ]


def _expected(
    acknowledgements: Sequence[DraftFrame], names: Sequence[str], template: Any
) -> Mapping[str, Any] | None:
    """What the answers to a request have in common: `accepted`, and where they name the symbol or repeat the number;
    None where none of them can be one to it. Without a request: of all answers.
    """
    asked = frozenset(_texts(template))
    rows = [frame.message for frame in acknowledgements if isinstance(frame.message, dict) and _says_yes(frame.message)]
    if template is not None:
        named = [(row, [text for text in _texts(row) if words([text]) & _CHANNELS]) for row in rows]
        fitting = [(row, texts) for row, texts in named if not texts or any(text in asked for text in texts)]
        rows = [row for row, texts in fitting if texts] or [row for row, _ in fitting]
    if not rows:
        return None
    told = dict(_constants(rows[0], names))
    for row in rows[1:]:
        common = {path: value for path, value in told.items() if _at(row, path) == value}
        told = common or told
    found: dict[str, Any] = {"accepted": {spelled(path): value for path, value in told.items()}}
    for key, value in rows[0].items():
        if isinstance(value, list) and value and all(one in names for one in value) and (not asked or key in asked):
            found.setdefault("symbol", spelled((key,)))
    for path, value in scalars(rows[0]):
        if isinstance(value, str) and value in names and "symbol" not in found:
            found["symbol"] = spelled(path)
        number = len(path) == 1 and folded(str(path[0])) in _NUMBERS and type(value) is int
        if number and (template is None or "$counter" in exactjson.spell(template)):
            found["reply_to"] = spelled(path)
    if not told and "reply_to" in found and rows[0].get("result", "") is None:
        found["accepted"] = {"result": None, found["reply_to"]: "$present"}
    return found if found["accepted"] else None


def _says_yes(message: dict[str, Any]) -> bool:
    return not words(_texts(message)) & ERROR_WORDS and message.get("success") is not False


def _constants(message: Any, names: Sequence[str]) -> Iterator[tuple[Path, Any]]:
    """The members that say what a message answers."""
    for path, value in scalars(message):
        if len(path) > 2 or (isinstance(value, str) and (len(value) > 40 or _form_of(value, names))):
            continue
        plain = isinstance(value, (str, bool)) or value in (0, 200)
        acknowledging = isinstance(value, str) and bool(words([value]) & ACK_WORDS)
        if acknowledging or (plain and folded(str(path[-1])) in _SAID):
            yield path, value


def _at(message: Any, path: Path) -> Any:
    for part in path:
        message = message.get(part) if isinstance(message, dict) and isinstance(part, str) else None
    return message
