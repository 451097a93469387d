"""The symbol: where it is found, and the forms in which the venue writes its instruments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.tools.drafting.columns import ItemColumn, Pool
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import SYMBOL, MessageKind
from k2conn.tools.drafting.leaves import Path, at, scalars, spelled
from k2conn.tools.drafting.words import PRODUCTS, QUOTES, like_symbol, rank, surely_symbol

NAMES = {"symbol": 9, "s": 8, "instid": 9, "productid": 9, "pair": 8, "instrumentname": 9, "instrument": 8, "code": 7,
         "cd": 7, "book": 7, "marketid": 9,
         "currencypair": 9, "coin": 8, "market": 7, "contract": 7, "contractcode": 8, "productcode": 9, "i": 5, "id": 4,
         "symbolname": 8, "name": 3, "sym": 8, "S": 7, "ticker": 8,
         "instrumentid": 8, "tradingpair": 8, "asset": 5, "ps": 1}
NOBODY = "BASE-QUOTE"
"""Stands for a name where none was found."""
_SIDES = frozenset({"buy", "sell", "bid", "ask", "b", "s", "a"})
_APART = re.compile(r"[A-Z0-9]+[-/_:][A-Z0-9]+\Z")
_EXPIRIES = {
    "yymmdd": re.compile(r"\d{6}\Z"),
    "ddmmmyy": re.compile(r"\d{1,2}[A-Z]{3}\d{2}\Z"),
    "digits": re.compile(r"\d+\Z"),
}
_EXPIRY = re.compile(r"\d{6,8}\Z|\d{1,2}[A-Z]{3}\d{2}\Z|\d{4}\Z")


@dataclass(frozen=True, slots=True)
class DraftSymbol:
    """Where a stream's symbol is, and the names that were seen there."""

    guess: Guess
    seen: tuple[str, ...]
    column: ItemColumn | None = None
    capture: dict[str, Any] | None = None
    """What is captured from acknowledgements, where data has only a channel number."""


def find_symbol(pool: Pool, group: MessageKind, others: Sequence[MessageKind]) -> DraftSymbol:
    """The symbol of a group's items: a column, cut out of a channel's text, or looked up by a channel's number."""
    return _column(pool) or _cut(group) or _looked_up(pool, others) or _unknown()


def _column(pool: Pool) -> DraftSymbol | None:
    found: list[tuple[tuple[int, ...], ItemColumn]] = []
    for column in pool.columns:
        texts = [value for value in column.present if isinstance(value, str)]
        if not texts or len(texts) < len(column.values) or not all(map(like_symbol, texts)):
            continue
        if {text.lower() for text in texts} <= _SIDES:
            continue
        ranked = rank(column.name, NAMES)
        sure = all(surely_symbol(text) or (pool.rows and bool(_APART.search(text))) for text in texts)
        if (ranked and (sure or ranked >= 7)) or (sure and (column.outer or pool.rows)):
            found.append(((ranked >= 7, sure, not column.outer, ranked), column))
    if not found:
        return None
    column = max(found, key=lambda one: one[0])[1]
    names = tuple(str(value) for value in column.values)
    why = f"{len(names)} of {len(names)} look like instruments ({names[0]})"
    return DraftSymbol(Guess(column.expression, why, all(map(surely_symbol, names))), names, column)


def _cut(group: MessageKind) -> DraftSymbol | None:
    """The symbol as part of a channel's text."""
    texts = [(path, text) for path, text in group.texts if SYMBOL in text]
    if not texts:
        return None
    path, text = max(texts, key=lambda one: len(one[1]))
    expression = spelled(path)
    names: list[str] = []
    for message in group.messages:
        raw = str(at(message, path))
        names.append(_cut_from(raw, text))
    source = {"from": f"$message{'' if expression.startswith('[') else '.'}{expression}", "pattern": text}
    if text == SYMBOL:
        return DraftSymbol(Guess(source["from"], f"the message's own {expression}"), tuple(names))
    return DraftSymbol(Guess(source, f"cut out of {expression}, as in {at(group.messages[0], path)}"), tuple(names))


def _cut_from(raw: str, text: str) -> str:
    before, after = text.split(SYMBOL, 1)
    return raw[len(before) : len(raw) - len(after)]


def _looked_up(pool: Pool, others: Sequence[MessageKind]) -> DraftSymbol | None:
    """The symbol by the channel number at the start of an array message, which an acknowledgement maps to a name."""
    numbers = {head for column in pool.outer if column.path == (0,) for head in column.values}
    for group in others:
        for message in group.messages:
            if not isinstance(message, dict):
                continue
            pairs = list(scalars(message))
            keys = [path for path, value in pairs if type(value) is int and value in numbers]
            texts = [path for path, value in pairs if isinstance(value, str) and like_symbol(value)]
            names = [path for path in texts if _pair_rank(path)]
            if keys and names:
                return _captured(keys[0], max(names, key=_pair_rank), others)
    return None


def _pair_rank(path: Path) -> int:
    return rank(str(path[-1]), {**NAMES, "pair": 10})


def _captured(key: Path, name: Path, others: Sequence[MessageKind]) -> DraftSymbol:
    messages = [message for group in others for message in group.messages if isinstance(message, dict)]
    rows = [message for message in messages if at(message, key) is not None and at(message, name) is not None]
    same = [(path, value) for path, value in scalars(rows[0]) if isinstance(value, str) and not like_symbol(value)
            and all(at(row, path) == value for row in rows)]
    when: dict[str, Any] = {spelled(path): value for path, value in same[:1]} or {spelled(key): "$present"}
    capture = {"when": when, "into": "symbol_of", "key": spelled(key), "value": spelled(name)}
    why = f"{spelled(key)} of an acknowledgement names the instrument, seen in {len(rows)}"
    guess = Guess({"from": "$message[0]", "look_up": "$state.symbol_of"}, why)
    return DraftSymbol(guess, tuple(str(at(row, name)) for row in rows), None, capture)


def _unknown() -> DraftSymbol:
    why = "no instrument's name was found in these frames"
    return DraftSymbol(Guess({"value": NOBODY}, why, False, "where the instrument is named"), (NOBODY,))


# -- how names are spelled


DraftForm = str | dict[str, str | bool]


@dataclass(slots=True)
class SymbolSpelling:
    """The forms that match the names seen."""

    forms: list[DraftForm] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)
    """Patterns of the parts other than base and quote, as far as these names show them."""
    quotes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    native: bool = False
    """Names have more parts than base and quote, so the record keeps the venue's spelling."""
    guessed: bool = False
    """No name was seen."""
    fixed: bool = False
    """Some form fixes the quote currency, which is a guess."""


def spelling(seen: Sequence[str]) -> SymbolSpelling:
    """The forms of some names, the most specific first."""
    found = SymbolSpelling()
    counted = Counter(seen)
    forms: list[DraftForm] = []
    for name, _ in counted.most_common():
        form, quote = _form(name)
        if form not in forms:
            forms.append(form)
        if quote and quote not in found.quotes:
            found.quotes.append(quote)
    if not any("{base}{quote}" in _text(form) for form in forms):
        found.quotes = []  # a separator shows where the quote begins
    found.forms = [_before_whole(form, forms) for form in sorted(forms, key=_specificity)]
    found.parts = _parts_of(list(counted), [_text(form) for form in forms])
    found.native = any(len(re.findall(r"\{", _text(form))) > 2 or isinstance(form, dict) for form in forms)
    found.fixed = any(isinstance(form, dict) for form in forms)
    found.names = [name for name, _ in counted.most_common(3)]
    return found


def tickers(seen: Sequence[str]) -> SymbolSpelling:
    """Names that are one word, as shares have them; the record keeps the venue's spelling."""
    counted = Counter(seen)
    found = SymbolSpelling([{"form": "{base}", "quote": "USD", "record": "native"}], fixed=True)
    others = "".join(sorted({one for name in counted for one in name if not one.isalnum()}))
    if others:
        found.parts = {"base": {"also": others}}
    found.names = [name for name, _ in counted.most_common(3)]
    return found


def _text(form: DraftForm) -> str:
    return form if isinstance(form, str) else str(form["form"])


def _before_whole(form: DraftForm, forms: Sequence[DraftForm]) -> DraftForm:
    """Orders forms so that a joined pair comes before a name that is the base alone, which would also match the pair.
    """
    return {"form": form, "overrides": True} if form == "{base}{quote}" and _whole() in forms else form


def _parts_of(names: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    """Patterns of expiries and strikes, to distinguish them from words such as PERP in the same position."""
    pieces = [piece for name in names for piece in re.split(r"[-/_:]", name)[1:]]
    expiries = [piece for piece in pieces if _EXPIRY.match(piece)]
    found: dict[str, str] = {}
    if any("{expiry}" in text for text in texts):
        fitting = [kind for kind, pattern in _EXPIRIES.items() if all(map(pattern.match, expiries))]
        found["expiry"] = fitting[0] if fitting else "alphanumeric"
    if any("{strike}" in text for text in texts):
        found["strike"] = "number"
    return {name: kind for name, kind in found.items() if kind != "alphanumeric"}


def _specificity(form: DraftForm) -> tuple[int, int]:
    text = _text(form)
    return -len(re.sub(r"\{[a-z]+\}", "", text)), -text.count("{")


def _form(name: str) -> tuple[DraftForm, str | None]:
    """One name's form, and the quote currency that must be listed for it."""
    separator = next((one for one in "/-_:" if one in name), None)
    if separator is None:
        return _joined(name)
    other = next((one for one in "/-_:" if one in name.replace(separator, "")), None)
    if other is not None:
        parts = re.split(r"[-/_:]", name)
        return (_whole(), None) if len(parts) > 5 else _separated(name.split(other), other)
    return _separated(name.split(separator), separator)


def _joined(name: str) -> tuple[DraftForm, str | None]:
    quote = _ending(name)
    return ("{base}{quote}", quote) if quote else (_whole(), None)


def _whole() -> DraftForm:
    """A name that is the base alone."""
    return {"form": "{base}", "quote": "USD"}


def _ending(name: str) -> str | None:
    """The quote currency at a name's end: the longest that leaves a base of three letters, else one of two."""
    fitting = [quote for quote in QUOTES if name.upper().endswith(quote) and len(name) > len(quote) + 1]
    return max(fitting, key=lambda quote: (len(name) - len(quote) > 2, len(quote)), default=None)


def _separated(parts: list[str], separator: str) -> tuple[DraftForm, str | None]:
    head: list[str] = []
    while len(parts) > 1 and parts[0].upper() in PRODUCTS and len(parts[0]) > 1:
        head.append(parts[0])
        parts = parts[1:]
    quote = None
    fixed = False
    if len(parts) == 1 or _is_not_currency(parts[1]):
        ending = _ending(parts[0])
        words = ["{base}{quote}" if ending else "{base}"]
        quote, fixed = ending, ending is None
        rest = parts[1:]
    elif parts[0].upper() in QUOTES and parts[1].upper() not in QUOTES:
        words, rest, quote = ["{quote}", "{base}"], parts[2:], parts[0].upper()
    else:
        words, rest, quote = ["{base}", "{quote}"], parts[2:], parts[1].upper()
    words = head + words + _rest(rest)
    text = separator.join(words)
    if fixed:
        return {"form": text, "quote": "USD"}, quote
    return text, quote


def _is_not_currency(part: str) -> bool:
    """Whether a part is not a currency but a product or an expiry."""
    return part.upper() in PRODUCTS or bool(_EXPIRY.match(part.upper())) or part.lower() in ("perp", "swap")


def _rest(parts: list[str]) -> list[str]:
    words: list[str] = []
    for part in parts:
        if _EXPIRY.match(part) and "{expiry}" not in words:
            words.append("{expiry}")
        elif part.replace(".", "").isdigit():
            words.append("{strike}" if "{strike}" not in words else "{further}")
        elif len(part) == 1:
            words.append("{kind}" if "{kind}" not in words else "{further}")
        else:
            words.append(part)
    return words


