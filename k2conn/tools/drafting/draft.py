"""From frames to a draft: which messages are trades, quotes, candles or neither, and how each is mapped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.tools.drafting import candles, natives, quotes, trades
from k2conn.tools.drafting.conditions import distinguishing_condition
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import MessageKind, groups
from k2conn.tools.drafting.leaves import spelled
from k2conn.tools.drafting.mapping import DraftMapping
from k2conn.tools.drafting.pings import answers
from k2conn.tools.drafting.prefixes import PrefixedSample, prefixed, spell_behind_prefix
from k2conn.tools.drafting.recording import DraftFrame, messages
from k2conn.tools.drafting.subscribing import NOTHING_SAID, DraftConversation, conversation, spell_as_it_is
from k2conn.tools.drafting.words import (
    ACK_WORDS,
    BEAT_WORDS,
    ERROR_WORDS,
    QUOTE_WORDS,
    SNAPSHOT_WORDS,
    TRADE_WORDS,
    folded,
    words,
)

_STREAMS = 3
"""Streams of one record type that are drafted."""
ACKNOWLEDGEMENT = "acknowledgement"
OTHER = "other"
"""What messages seem to be of which nothing is known."""
CHANGES = "changes of a book"
_QUIET = 12
"""Kinds of messages that are listed as ignored."""


class DraftRequest(NamedTuple):
    """The author's input."""

    name: str
    exchange: str
    asset_class: str
    url: str
    docs: str | None


class DraftStream(NamedTuple):
    """One drafted stream. ``default`` is false where another maps the same record type better."""

    name: str
    mapping: DraftMapping
    when: Guess
    default: bool


@dataclass(frozen=True, slots=True)
class OtherMessages:
    """Messages that are not records: their condition, what they seem to be, how many there are, and an example."""

    when: Any
    what: str
    count: int
    sample: DraftFrame


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything known about a connector before its author has reviewed it."""

    request: DraftRequest
    frames: int
    streams: tuple[DraftStream, ...]
    quiet: tuple[OtherMessages, ...]
    spelling: natives.SymbolSpelling
    symbols: int
    """How many different symbols were seen."""
    listed: bool = False
    """Whether frames are lists of messages."""
    conversation: DraftConversation = NOTHING_SAID
    answers: tuple[dict[str, Any], ...] = ()
    """What answers the venue's own pings."""
    prefixed: PrefixedSample | None = None
    """The sample, where characters stand before the JSON of its frames."""

    @property
    def capture(self) -> dict[str, Any] | None:
        """The capture of channel numbers from acknowledgements, where data needs it."""
        return next((found for one in self.streams if (found := one.mapping.symbol.capture)), None)


def draft(request: DraftRequest, frames: Sequence[DraftFrame]) -> Draft:
    """The draft of a connector from some of its frames."""
    behind = prefixed(frames)
    frames = frames if behind is None else behind.frames
    received, listed = messages(frames) if behind is None else ([one for one in frames if not one.sent], False)
    found = groups(received)
    mappings = [mapping for group in found if (mapping := _mapping(group, found)) is not None]
    chosen = _chosen(_merged(mappings))
    streams: list[DraftStream] = []
    for mapping in chosen:
        when = distinguishing_condition(mapping.groups, [group for group in found if group not in mapping.groups])
        first = not any(one.mapping.record == mapping.record for one in streams)
        name = mapping.record if first else _name(mapping, [one.name for one in streams])
        streams.append(DraftStream(name, _finished(mapping), when, first))
    mapped = [group for one in streams for group in one.mapping.groups]
    seen = [name for one in streams for name in one.mapping.symbol.seen]
    rest = [group for group in found if group not in mapped]
    spelling = _spelling(request, seen)
    pings = [group for group in rest if answers(group.frames)]
    others = _other_messages([group for group in rest if group not in pings], mapped)
    acknowledgements = [frame for group in rest if _description(group) == ACKNOWLEDGEMENT for frame in group.frames]
    kinds = {one.name: one.mapping.record for one in streams}
    said = conversation(frames, acknowledgements, seen, kinds, spell_behind_prefix if behind else spell_as_it_is)
    pinged = answers([frame for group in pings for frame in group.frames])
    return Draft(
        request, len(received) if behind is None else behind.received, tuple(streams), tuple(others), spelling,
        len(set(seen)), listed, said, (*(() if behind is None else behind.answers), *pinged), behind,
    )


def _spelling(request: DraftRequest, seen: Sequence[str]) -> natives.SymbolSpelling:
    if request.asset_class == "equities" and seen and not any("/" in name for name in seen):
        return natives.tickers(seen)
    found = natives.spelling(seen or [natives.NOBODY])
    found.guessed = not seen or natives.NOBODY in seen
    return found


def _mapping(group: MessageKind, found: Sequence[MessageKind]) -> DraftMapping | None:
    others = [one for one in found if one is not group]
    candle = candles.find(group, others)
    if candle is not None:
        return candle
    trade, quote = trades.find(group, others), quotes.find(group, others)
    if trade is not None and quote is not None:
        return quote if group.words & QUOTE_WORDS and not group.words & TRADE_WORDS else trade
    return trade or quote


def _merged(mappings: Sequence[DraftMapping]) -> list[DraftMapping]:
    """Merges groups that one stream can map, unless they contain the same records twice."""
    merged: list[DraftMapping] = []
    for mapping in mappings:
        for place, one in enumerate(merged):
            repeated = bool(one.ids & mapping.ids)
            if one.shape == mapping.shape and not repeated:
                merged[place] = one.joined(mapping)
                break
        else:
            merged.append(mapping)
    return merged


def _has_history(mapping: DraftMapping) -> bool:
    return any(group.words & SNAPSHOT_WORDS for group in mapping.groups)


def _chosen(mappings: Sequence[DraftMapping]) -> list[DraftMapping]:
    """The best few mappings of each record type, best first."""
    found: list[DraftMapping] = []
    for record in ("trade", "quote", "candle"):
        own = [mapping for mapping in mappings if mapping.record == record]
        found += sorted(own, key=_quality, reverse=True)[:_STREAMS]
    return found


def _quality(mapping: DraftMapping) -> tuple[int, int]:
    found_words = frozenset[str]().union(*(group.words for group in mapping.groups))
    penalty = 8 * bool(found_words & {"agg", "lite"}) + 10 * (_has_history(mapping) and len(mapping.groups) == 1)
    return mapping.score - penalty, sum(len(group.frames) for group in mapping.groups)


def _name(mapping: DraftMapping, taken: Sequence[str]) -> str:
    """A name for a further stream, from the words of its kind."""
    wanted = TRADE_WORDS | QUOTE_WORDS
    for group in mapping.groups:
        for _, text in group.texts:
            if words([text]) & wanted:
                part = next((p for p in re.split(r"[^A-Za-z0-9_]+", text) if words([p]) & wanted), "")
                name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", part).lower().strip("_")
                if re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in taken:
                    return name
    return next(f"{mapping.record}_{number}" for number in range(2, 99) if f"{mapping.record}_{number}" not in taken)


def _finished(mapping: DraftMapping) -> DraftMapping:
    """Adds the rules for messages marked as snapshots: for trades the recent history, for quotes the start of deltas.
    """
    told = [states for group in mapping.groups if (states := group.states) is not None]
    paths = {path for path, _ in told}
    found_words = frozenset[str]().union(*(words for _, words in told))
    past = sorted(word for word in found_words if word.lower() in SNAPSHOT_WORDS)
    if not past or len(paths) != 1:
        return mapping
    where = {spelled(paths.pop()): past[0]}
    if mapping.record == "quote":
        if not mapping.partial or len(found_words) < 2:
            return mapping
        begin = Guess({"per": "symbol", "begin": where}, "a side is absent in some frames, which say so", False)
        return replace(mapping, options={**mapping.options, "carry": begin})
    if len(found_words) > 1:
        guess = Guess(where, "by its name the recent past, sent on subscribe", False)
        return replace(mapping, options={**mapping.options, "snapshot": guess})
    if "first_batch" in mapping.options:
        return mapping
    note = f"GAP: {exactjson.encode(where).decode()} in all frames: if that is the recent past, say `snapshot:`"
    return replace(mapping, notes=(*mapping.notes, note))


def _other_messages(rest: Sequence[MessageKind], mapped: Sequence[MessageKind]) -> list[OtherMessages]:
    found: dict[str, OtherMessages] = {}
    for group in rest:
        when = distinguishing_condition([group], mapped)
        if "others" in when.why and " 0 of" not in when.why:
            continue
        key = repr(when.value)
        before = found[key].count if key in found else 0
        found[key] = OtherMessages(when.value, _description(group), before + len(group.frames), group.frames[0])
    return list(found.values())[:_QUIET]


def _has_error(message: Any) -> bool:
    names = ("error", "errors", "err", "errormessage", "errorcode")
    return isinstance(message, dict) and any(
        folded(key) in names and value not in (None, 0, "0", "", False) for key, value in message.items()
    )


def _description(group: MessageKind) -> str:
    found_words = group.words
    message = group.frames[0].message
    keys = words(message) if isinstance(message, dict) else frozenset()
    if found_words & ERROR_WORDS or _has_error(message):
        return "error"
    if (found_words | keys) & BEAT_WORDS:
        return "heartbeat"
    if found_words & ACK_WORDS or keys & {"result", "success", "subscribed", "subbed"}:
        return ACKNOWLEDGEMENT
    return CHANGES if quotes.changes(group) else OTHER
