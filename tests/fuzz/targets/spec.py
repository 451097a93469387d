"""The compiler: any text gives a plan or problems with their places, in bounded time; a plan that comes out can be
connected and fed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from k2conn.compiler.compiler import check_text
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan
from k2conn.resources import connectors_folder
from tests.fuzz.bounds import check_time
from tests.fuzz.draws import Draws
from tests.fuzz.places import places
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, WORLD, trade, trades

RAW, EDITED, TOKENS = 0, 1, 2
EDITS = 6
"""Of one text, at most."""
SIGNS = (
    "- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\n",
    "\n  ",
    "\n      ",
    "\n- ",
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "!x ",
    "|\n",
    ">-\n",
    "|+2\n",
    '"',
    "'",
    '"\\x41',
    "#",
    " #",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "~",
    "yes",
    "0x1F",
    "1_000",
    "12:30",
    "1e3",
    ".inf",
    "2026-01-02",
    "=",
    "@",
    "`",
    "\t",
    "\u2028",
    "\x85",
    "\r\n",
    "\u202e",
    "\u00e9",
    "\U0001f600",
    "$symbol",
    "$env.KEY",
    "{$state.x}",
    "a.b[0]",
    "30s",
    "wss://venue.example/",
    "{base}-{quote}",
)
"""What means something in YAML or in the language."""
SECONDS = 3.0
"""CPU time that one text may take; it is measured with the fuzzer's own tracing on."""
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    0.5,
    "",
    "$",
    "$symbol",
    "{$symbol}",
    "{$state.x}",
    "$env.KEY",
    "a.b[0]",
    "length(@)",
    "((((",
    "`1`",
    "[?a]",
    "30s",
    "0s",
    "999999999d",
    "5 per 1s",
    "wss://venue.example/",
    "ws://10.0.0.1/",
    "{base}-{quote}",
    "{base}{quote}",
    "(a+)+$",
    "[A-Z]+",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"from": "a", "unit": "ms"},
    "x" * 3000,
    "${",
    "trade",
    "market.crypto.x",
    "GET https://venue.example/",
    "json",
    "gzip",
    "\u2028",
    "é",
    "a\nb",
)
TRACED = ("k2conn.compiler",)
WORDS = (
    b": ",
    b"- ",
    b"\n  ",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"'",
    b"`",
    b"$symbol",
    b"{$state.x}",
    b"$env.KEY",
    b"#",
    b"&a",
    b"*a",
    b"!!int",
    b"|",
    b">",
    b"?",
    b"on",
    b"012",
    b"~",
    b"1e5",
    b"@",
    b"%",
    b"\t",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\r",
    b"streams:",
    b"when:",
    b"fields:",
    b"connection:",
    b"connections:",
    b"steps:",
    b"send:",
    b"expect:",
    b"symbols:",
    b"backfill:",
    b"tests:",
    b"codec:",
    b"each:",
    b"sequence:",
    b"snapshot:",
    b"vendor_data:",
    b"capture:",
)


_TOKEN = re.compile(r"\n *|[ ]+|[\w.$/-]+|[^\w ]")
SMALL = HEAD + SUBSCRIBE + STREAMS
LEAST = """
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD], form: "{base}-{quote}"}
connection: {url: wss://venue.example/ws, steps: [{name: s, send: {op: sub, s: $symbols}, for: trade}]}
streams:
  trade:
    when: {ch: trade}
    each: data
    fields: {symbol: s, trade_id: i, price: p, quantity: q, side: {value: UNKNOWN}, timestamp: {from: t, unit: ms}}
"""
"""About the shortest connector there can be: three of four edited inputs begin with it, for a fuzzer lives by speed."""


@cache
def shipped() -> tuple[Any, ...]:
    """The connectors that ship, as values."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(yaml.load(path.read_text(), Loader=loader) for path in sorted(connectors_folder().glob("*.yaml")))


@cache
def bases() -> tuple[str, ...]:
    """Good connectors as JSON: small ones, then the smallest that ship, cut down."""
    found = sorted((json.dumps(small(value), default=str) for value in shipped()), key=len)
    return tuple(json.dumps(yaml.safe_load(text)) for text in (LEAST, SMALL)) + tuple(found[: len(found) // 2])


def base(draws: Draws) -> Any:
    """One of them."""
    return json.loads(draws.of(bases()[1:] if draws.below(4) == 0 else bases()[:1]))


def small(value: Any) -> Any:
    """With one stream and short lists of symbols, without its tests."""
    value = {key: one for key, one in value.items() if key != "tests"}
    name, stream = next(iter(value["streams"].items()))
    value["streams"] = {name: stream}
    symbols = {key: one[:2] if isinstance(one, list) else one for key, one in value["symbols"].items()}
    return value | {"symbols": symbols}


@cache
def tokenised() -> tuple[tuple[str, ...], ...]:
    """Good connectors as YAML in its tokens: line breaks with the indent behind them, words, signs."""
    smallest = sorted(
        (yaml.safe_dump(small(value) | {"connector": "venue"}, sort_keys=False) for value in shipped()), key=len
    )[:4]
    return tuple(tuple(_TOKEN.findall(text)) for text in (LEAST, SMALL, *smallest))


@cache
def parts() -> tuple[tuple[str, Any], ...]:
    """Everything that stands under a key somewhere, each once."""
    found: dict[str, tuple[str, Any]] = {}
    for value in shipped():
        for container, key in places(value):
            if isinstance(key, str):
                text = json.dumps([key, container[key]], default=str)
                if len(text) < 600:
                    found.setdefault(text, (key, container[key]))
    return tuple(found.values())


@cache
def parts_of() -> dict[str, list[Any]]:
    """The same by key."""
    found: dict[str, list[Any]] = {}
    for name, part in parts():
        found.setdefault(name, []).append(part)
    return found


def seeds() -> Iterator[bytes]:
    """How the text is made (one byte: of four, odd ones are `EDITED`); the text, or edits."""
    for text in (LEAST, SMALL):
        yield bytes((RAW,)) + text.encode()
    for section in (
        "connector: a\n",
        "symbols: {default: [A-B], form: '{base}-{quote}'}\n",
        "a: [1, {b: c}]\n",
        "- a\n- b\n",
        "a: |\n  text\n  more\nb: >-\n  x\n",
    ):
        yield bytes((RAW,)) + section.encode()
    for at in range(60):
        yield bytes(
            (TOKENS, at, 2, 0, at * 5 % 256, at, at % len(SIGNS), 0, at * 13 % 256, at + 1, at * 7 % len(SIGNS))
        )
    for at in range(120):
        yield bytes(
            (EDITED, at // 3 % len(bases()), 2, at, at * 7 % 256, at % 6, at * 5 % 256, at * 11 % 256, at, at % 6, at)
        )


def target(data: bytes) -> None:
    """One text."""
    if not data:  # the first input of all, whose time does not count
        bases(), tokenised(), parts_of()
        for text in (LEAST, "connector: [1]"):  # one without and one with problems, for which there is more to import
            check(text)
    draws = Draws(data)
    kind = draws.byte() % 4
    if kind == RAW:
        text = draws.rest()[:8000].decode("utf-8", "replace")
    elif kind == TOKENS:
        text = mixed(draws)
    else:
        text = json.dumps(edited(draws), ensure_ascii=False, default=str)
    check_time(SECONDS, lambda: check(text))


def check(text: str) -> None:
    """What the compiler says of it."""
    plan, problems = check_text("venue.yaml", text, Path())
    assert (plan is None) == bool(problems)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.text
        assert str(problem)
    if plan is not None:
        fed(plan)


def edits(draws: Draws) -> int:
    """How many: none only where nothing is left to choose them by, or most inputs would give the same text."""
    count = draws.below(EDITS)
    return count or bool(draws.left)


def edited(draws: Draws) -> Any:
    """A good connector after some edits: parts of others, odd values, what is missing, doubled or renamed."""
    said = base(draws)
    said["connector"] = "venue"
    for _ in range(edits(draws)):
        spots = places(said)
        if not spots:
            break
        container, key = spots[draws.below(1 << 16) % len(spots)]
        how = draws.below(6)
        if how == 0:
            del container[key]
        elif how == 1:
            container[key] = deepcopy(draws.of(ODD))  # the next edit may change it
        elif how == 2:
            name, part = parts()[draws.below(1 << 16) % len(parts())]
            if isinstance(container, dict):
                container[name] = deepcopy(part)
            else:
                container[key] = deepcopy(part)
        elif how == 3:
            alike = parts_of().get(key) or [None]
            container[key] = deepcopy(alike[draws.below(1 << 16) % len(alike)])
        elif how == 4 and isinstance(container, dict):
            container[draws.of(("x", "", "name", "from", "when", draws.text(10)))] = container.pop(key)
        else:
            container[key] = draws.text(60)
    return said


def mixed(draws: Draws) -> str:
    """The tokens of a good connector after some edits. Bytes that are changed blindly hardly ever leave YAML whole."""
    made = list(draws.of(tokenised()))
    for _ in range(edits(draws)):
        at, how = draws.below(1 << 16) % (len(made) + 1), draws.below(6)
        if how == 0:
            del made[at : at + 1 + draws.below(8)]
        elif how == 1:
            made.insert(at, draws.of(SIGNS))
        elif how == 2:
            made[at : at + 1] = [draws.of(SIGNS)]
        elif how == 3:
            there = draws.below(1 << 16) % (len(made) + 1)
            made[at:at] = made[there : there + 1 + draws.below(16)]
        elif how == 4:
            made.insert(at, "\n" + " " * draws.below(9))
        else:
            made.insert(at, draws.text(20))
    return "".join(made)


def fed(plan: Plan) -> None:
    """A connection of each kind, some frames."""
    names = [symbol for name in plan.symbols.default if (symbol := plan.symbols.resolve(name))]
    for connection in plan.connections:
        pipeline = FramePipeline(ConnectorState(plan, None, 100), connection, names, WORLD)
        with suppress(RuntimeError):
            pipeline.session.open(0.0, 1_767_323_046_000_000)
        pipeline.receive([trades(trade()), "{}", "[[1]]", "pong", b"\xff"], 1.0, 1_767_323_046_000_000)
        while (deadline := pipeline.session.deadline) is not None and deadline < 40.0:
            pipeline.session.timer(max(deadline, 2.0), 1_767_323_046_000_000)
            if deadline <= 2.0:
                break
