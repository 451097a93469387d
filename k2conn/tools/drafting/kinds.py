"""Groups messages by kind: by the texts that identify their channel, else by their keys.

A *kind* is given by a message's channel texts without the instrument's name, so that
`market.btcusdt.trade.detail` and `market.ethusdt.trade.detail` are of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from k2conn.tools.drafting.leaves import Path, at, scalars, walk
from k2conn.tools.drafting.recording import DraftFrame
from k2conn.tools.drafting.words import (
    ALL_WORDS,
    LETTERS,
    STATE_WORDS,
    folded,
    like_symbol,
    names_kind,
    surely_symbol,
    symbol_span,
    words,
)

SYMBOL = "{symbol}"
STATE = "{state}"
"""Stands for the words that distinguish a snapshot from updates."""
_SYMBOL_NAMES = frozenset({"symbol", "instid", "productid", "pair", "instrumentname", "instrument", "code", "market",
                           "currencypair", "s", "coin", "contract", "productcode"})
_MANY = 12


@dataclass(frozen=True, slots=True)
class MessageKind:
    """Messages of one kind. ``texts`` identify the kind: path and text, ``{symbol}`` for names."""

    texts: tuple[tuple[Path, str], ...]
    frames: tuple[DraftFrame, ...]

    @property
    def messages(self) -> list[Any]:
        """The messages."""
        return [frame.message for frame in self.frames]

    @property
    def words(self) -> frozenset[str]:
        """The words of its texts."""
        texts = [text.replace(SYMBOL, " ") for _, text in self.texts if text != STATE]
        return words(texts) | {LETTERS[text.lower()] for text in texts if text.lower() in LETTERS}

    @property
    def states(self) -> tuple[Path, frozenset[str]] | None:
        """Where the messages say whether they are a snapshot, and the values there."""
        for path, text in self.texts:
            if text == STATE:
                return path, frozenset(str(at(message, path)) for message in self.messages)
        return None


def groups(frames: Sequence[DraftFrame]) -> list[MessageKind]:
    """All messages by kind, in the order in which kinds first appear."""
    found: dict[Any, list[DraftFrame]] = {}
    loud = _identifying_paths(frames)
    for frame in frames:
        texts = tuple((path, text) for path, text in _texts(frame.message) if path in loud)
        telling = any(words([text]) & ALL_WORDS or text.lower() in LETTERS for _, text in texts)
        shape = _coarse(frame.message) if telling else _keys(frame.message)
        found.setdefault((texts, shape), []).append(frame)
    return [MessageKind(texts, tuple(members)) for (texts, _), members in found.items()]


def _texts(message: Any) -> Iterator[tuple[Path, str]]:
    """A message's channel texts, names cut out."""
    if isinstance(message, str):
        yield (), message
        return
    pairs = [(path, value) for path, value in scalars(message) if isinstance(value, str) and len(value) <= 120]
    known = [value for path, value in pairs if folded(str(path[-1])) in _SYMBOL_NAMES and like_symbol(value)]
    for path, value in pairs:
        telling = bool(words([value]) & ALL_WORDS)
        named = names_kind(path[-1])
        if value.lower() in STATE_WORDS:
            yield path, STATE
        elif (named or telling) and not (value in known or (surely_symbol(value) and not telling)):
            span = symbol_span(value, known)
            yield path, (value if span is None else value[: span[0]] + SYMBOL + value[span[1] :])


def _identifying_paths(frames: Sequence[DraftFrame]) -> set[Path]:
    """The paths whose texts repeat from message to message, and so identify the kind of a message."""
    seen: dict[Path, set[str]] = {}
    for frame in frames:
        for path, text in _texts(frame.message):
            seen.setdefault(path, set()).add(text)
    return {path for path, texts in seen.items() if len(texts) <= _MANY or all(words([t]) & ALL_WORDS for t in texts)}


def _coarse(message: Any) -> Any:
    """The type (object, array, ...) of each top-level member: distinguishes acknowledgements from data of a channel."""
    if isinstance(message, dict):
        return frozenset(key for key, value in message.items() if isinstance(value, (dict, list)))
    return _keys(message)


def _keys(message: Any) -> Any:
    """All paths of a message; of arrays, the types by position."""
    if isinstance(message, list):
        return tuple(_type(one) for one in message)
    return frozenset(path for path, _ in walk(message) if all(isinstance(part, str) for part in path))


def _type(value: Any) -> str:
    if isinstance(value, list):
        return f"[{_type(value[0])} {len(value) if not isinstance(value[0], list) else 'rows'}]" if value else "[]"
    if isinstance(value, dict):
        return "{" + ",".join(sorted(value)) + "}"
    return type(value).__name__ if isinstance(value, (str, bool)) or value is None else "number"
