"""Writes a draft as YAML in the usual order of keys, with the reason beside each guess."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.printable import visible
from k2conn.tools.drafting.draft import ACKNOWLEDGEMENT, CHANGES, OTHER, Draft, DraftStream, OtherMessages
from k2conn.tools.drafting.guesses import Guess

_PLAIN = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_.$/-]*(?: [A-Za-z0-9_.$/-]+)*\Z")
HTTP = ("https://", "http://")
_ADDRESS = re.compile(r"(?:wss?|https?)://[A-Za-z0-9_./:?=&%+-]+\Z")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
_WIDTH = 116
_SHOWN = 300
"""Characters of a line about what was played."""
_ORDER = ("trade_id", "quote_id", "price", "quantity", "timestamp", "side", "bid_price", "bid_quantity", "ask_price",
          "ask_quantity", "open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count",
          "is_closed")


class DraftTest(NamedTuple):
    """One example: the frames, and the records that the engine makes of the last of them."""

    name: str
    streams: tuple[str, ...]
    frames: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]


def written(draft: Draft, examples: Sequence[DraftTest] = (), played: Sequence[str] = ()) -> str:
    """The connector file's text; ``played``: what became of the sample, for its head."""
    lines = [*_head(draft, played), "", *_symbols(draft), "", *_connection(draft), "", *_streams(draft)]
    if examples:
        lines += ["", *_tests(examples)]
    lines += ["", *_gaps(draft)]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(key))}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bool, int, Decimal)) or value is None:
        return "null" if value is None else exactjson.spell(value)
    raise TypeError(type(value))


def _text(text: str) -> str:
    plain = _PLAIN.match(text) and text.lower() not in _RESERVED
    return text if plain else exactjson.encode(text).decode()


def _line(indent: str, key: str, guess: Guess) -> Iterator[str]:
    """A key, its value and the reason: beside it, or above where the line would be long."""
    text = f"{indent}{key}: {flow(guess.value)}"
    if len(text) + len(guess.comment) + 4 <= _WIDTH:
        yield f"{text}  # {guess.comment}"
    else:
        yield from _comment(indent, guess.comment)
        yield text


def _comment(indent: str, text: str) -> Iterator[str]:
    line = f"{indent}#"
    for word in text.split():
        if len(line) + len(word) + 1 > _WIDTH:
            yield line
            line = f"{indent}#  "
        line += f" {word}"
    yield line


def _head(draft: Draft, played: Sequence[str]) -> Iterator[str]:
    request = draft.request
    yield "# yaml-language-server: $schema=../schemas/connector.schema.json"
    yield from _comment("", f"A draft from {draft.frames} frames. Beside each guess stands its reason; GAP marks what "
                            "frames cannot tell. \"Sure\" is only what playing the draft on them shows: how a value "
                            "is read, not what it means. Look at every one, then take the comments out.")
    for line in played:
        yield from _comment("", visible(line)[:_SHOWN])
    yield f"connector: {_text(request.name)}"
    yield f"exchange: {_text(request.exchange)}"
    yield f"asset_class: {request.asset_class}"
    if request.docs:
        yield f"docs: {request.docs}"
    else:
        yield "docs: https://example.com/  # GAP: the exchange's documentation of this protocol"


def _symbols(draft: Draft) -> Iterator[str]:
    spelling = draft.spelling
    yield "symbols:"
    yield f"  default: {flow(spelling.names)}  # seen; GAP: choose yours"
    form = spelling.forms[0] if len(spelling.forms) == 1 else spelling.forms
    why = f"reads the names that were seen ({draft.symbols})"
    gap = "the price currency: these names do not say it" if spelling.fixed else ""
    yield from _line("  ", "form", Guess(form, why, not spelling.fixed and not spelling.guessed, gap))
    if spelling.quotes:
        why = "nothing separates base from quote, and these were seen"
        yield from _line("  ", "quotes", Guess(spelling.quotes, why, False, "the venue's other quote currencies"))
    if spelling.parts:
        yield from _line("  ", "parts", Guess(spelling.parts, "as these names show", False, "what else they may be"))
    if spelling.native:
        yield from _line("  ", "record", Guess("native", "names say more than base and quote", False))


def _connection(draft: Draft) -> Iterator[str]:
    yield "connection:"
    url = draft.request.url
    yield f"  url: {url if _ADDRESS.match(url) else _text(url)}"
    if draft.prefixed is not None:
        yield "  codec: {text: prefixed}  # JSON behind a few characters, which are `prefix`; the JSON is `body`"
        yield f"  each: {_text(draft.prefixed.each)}  # the messages in it"
    if url.startswith(HTTP):
        yield "  poll: 2s  # GAP: how often it may be asked; an answer that goes on has no `poll`, but `framing`"
    else:
        yield from _steps(draft)
        yield from _heartbeat(draft)
    yield "  # GAP: the venue's limits, such as: limits: {connect: 300 per 5m, send: 5 per 1s, lifetime: 24h}"
    if draft.listed:
        yield '  each: "@"  # frames are lists of messages'
    if draft.capture:
        yield f"  capture: [{flow(draft.capture)}]"
    errors = [quiet for quiet in draft.quiet if quiet.what == "error"]
    if errors:
        yield f"  errors: {{when: {flow([one.when for one in errors])}}}"
    quiet = [one for one in draft.quiet if one.what not in ("error", OTHER, CHANGES)]
    beats = draft.prefixed.ignore if draft.prefixed is not None else ()
    if quiet or beats:
        yield "  ignore:"
        for prefix in beats:
            yield f"    - {{prefix: {_text(prefix)}}}"
        for one in quiet:
            yield f"    - {flow(one.when)}  # {_counted(one)}"
    others = [one for one in draft.quiet if one.what in (OTHER, CHANGES)]
    if any(one.what == CHANGES for one in others):
        yield from _comment("  ", "GAP: changes of a book make no quotes, for the best of both sides does not stand in "
                                  "each: is there a channel of the best bid and ask? Of one level alone, see `carry`")
    if others:
        yield from _comment("  ", "GAP: no rule takes these; under `ignore:` goes what is of no interest")
        for one in others:
            yield from _comment("  ", f"- {flow(one.when)}  {_counted(one)}: {one.sample.text[:120]}")


def _steps(draft: Draft) -> Iterator[str]:
    said = draft.conversation
    for one in [quiet for quiet in draft.quiet if quiet.what == ACKNOWLEDGEMENT][:2]:
        yield from _comment("  ", f"an answer among the frames: {one.sample.text[:160]}")
    if said.secret:
        frames = _number(said.secret, "sent frame")
        yield from _comment("  ", f"GAP: {frames} with a key or a token, which stays out of the file: a step before "
                                  "the others, with $env.K2_... for it")
    own = draft.prefixed.steps if draft.prefixed is not None else ()
    if own:
        yield "  steps:"
        yield from (f"    - {flow(one)}" for one in own)
    if not said.steps:
        expect = said.expect or {"accepted": {"result": None, "id": "$present"}, "reply_to": "id"}
        yield "  # GAP: what is sent to subscribe, and what is answered. It could look like this:"
        yield from () if own else ("  # steps:",)
        yield "  #   - send: {method: subscribe, params: $symbols, id: $counter}"
        yield "  #     for: [" + ", ".join(one.name for one in draft.streams) + "]"
        yield f"  #     expect: {flow(expect)}" + ("  # as the answers above" if said.expect else "")
        return
    if not own:
        yield "  steps:"
    for step in said.steps:
        times = _number(step.times, "time")
        yield from _comment("    ", f"guess: said {times} in the sample; GAP: how many symbols it may name")
        yield f"    - send: {flow(step.send)}"
        if step.streams:
            yield f"      for: {flow(list(step.streams))}"
        if step.expect is not None:
            why = Guess(step.expect, "what the answers have in common", False, "what a refusal looks like")
            yield from _line("      ", "expect", why)
        else:
            yield "      expect: first-data  # guess: no answer is among the frames"


def _heartbeat(draft: Draft) -> Iterator[str]:
    if draft.answers:
        yield "  # guess: the venue's own ping, answered in its words; GAP: whether that is what it waits for"
        yield f"  answer: {flow(draft.answers)}"
    if draft.prefixed is not None and draft.prefixed.heartbeat is not None:
        yield f"  heartbeat: {flow(draft.prefixed.heartbeat)}  # guess: as its welcome says"
    else:
        yield "  # GAP: heartbeat, such as: heartbeat: {every: 20s, send: {method: ping}, answer: {method: pong}}"
    for frame in draft.conversation.pings:
        yield from _comment("  ", f"sent in the sample: {frame.text[:160]}")
    for one in [quiet for quiet in draft.quiet if quiet.what == "heartbeat"][:2]:
        yield from _comment("  ", f"a heartbeat among the frames: {one.sample.text[:160]}")


def _counted(one: OtherMessages) -> str:
    return f"{one.what}, {_number(one.count, 'frame')}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _streams(draft: Draft) -> Iterator[str]:
    yield "streams:"
    if not draft.streams:
        yield "  # GAP: no message looks like a trade, a quote or a candle. A sample must hold some, one a line."
        yield "  trade:"
        yield "    when: channel == 'GAP'"
        yield "    fields: {symbol: symbol, trade_id: id, price: price, quantity: quantity, timestamp: $received_at,"
        yield "             side: {value: UNKNOWN}}"
    for place, stream in enumerate(draft.streams):
        yield from [""] if place else []
        yield from _stream(stream)


def _stream(stream: DraftStream) -> Iterator[str]:
    mapping = stream.mapping
    yield f"  {stream.name}:"
    if stream.name != mapping.record:
        yield f"    record: {mapping.record}"
    if mapping.record == "candle":
        yield "    default: false  # runs when it is named"
    elif not stream.default:
        yield "    default: false  # guess: another stream tells the same; GAP: which of them you want"
    yield from _line("    ", "when", stream.when)
    if mapping.place.each:
        each = mapping.place.each
        yield f"    each: {_text(each) if isinstance(each, str) else flow(each)}"
    for key in ("intervals", "order", "snapshot", "first_batch", "carry", "closed", "sequence", "identity"):
        if key in mapping.options:
            yield from _line("    ", key, mapping.options[key])
    for note in mapping.notes:
        yield from _comment("    ", note)
    yield "    fields:"
    yield from _line("      ", "symbol", mapping.symbol.guess)
    for name in _ORDER:
        if name in mapping.fields:
            yield from _line("      ", name, mapping.fields[name])


def _tests(examples: Sequence[DraftTest]) -> Iterator[str]:
    yield "tests:"
    yield "  # Frames of the sample and what the engine makes of them now: compare with the exchange's words."
    for one in examples:
        yield f"  - name: {_text(one.name)}"
        yield f"    streams: {flow(one.streams)}"
        yield "    dialogue:"
        for frame in one.frames[:-1]:
            yield f"      - received: {_frame(frame)}"
        yield f"      - received: {_frame(one.frames[-1])}"
        yield "        records:"
        for record in one.records:
            yield f"          - {flow(record)}"


def _frame(text: str) -> str:
    """A frame as a YAML text that keeps every character."""
    return "'" + text.replace("'", "''") + "'"


def _gaps(draft: Draft) -> Iterator[str]:
    steps = ("url: how it names a symbol ({$symbols}, or {$symbol} with `per: symbol`), and what it begins with"
             if draft.request.url.startswith(HTTP)
             else "steps: whether they are all, how many symbols a frame may name, and how the venue refuses"
             if draft.conversation.steps
             else "steps: the frame that subscribes, how many symbols it may name, and the answer (`expect`)")
    gaps = [steps,
            "heartbeat: who pings whom, how often, in which words; and what the venue calls an error",
            "limits: connections, frames sent, symbols on one connection, and how long one lives"]
    for stream in draft.streams:
        mapping = stream.mapping
        for name, guess in (("when", stream.when), ("symbol", mapping.symbol.guess), *mapping.fields.items()):
            if guess.gap:
                gaps.append(f"{stream.name}.{name}: {guess.gap}")
    if any(one.mapping.record == "trade" for one in draft.streams):
        gaps.append("quantity: base units, quote units or contracts; and which trades are none of the order book")
    else:
        gaps.append("trades: none were found in the sample")
    yield "# What is left to find out (GAP):"
    for number, gap in enumerate(gaps, 1):
        yield from _comment("", f"{number}. {gap}")
