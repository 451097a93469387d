"""Native symbols to base, quote and our own spelling: by table, form or declared list, never by a guess.

A *form* is a pattern in the exchange's spelling, such as ``{base}/{quote}`` or ``{base}{quote}_{expiry}``. Where no
separator parts base from quote, the quote currencies are a declared list, the longest that fits decides (BTCFDUSD is
BTC in FDUSD although USD is listed too), and a table settles what is still told wrongly. No match is None, which the
engine makes a dead letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k2conn.plan import Symbol

_PLACE = re.compile(r"\{([a-z_]+)\}")
_WORD = r"[^\s/:,]+?"


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling rule: the compiled pattern, and parts that are fixed by the rule rather than by the name."""

    text: str
    pattern: re.Pattern[str]
    fixed: Mapping[str, str]


def form(text: str, quotes: tuple[str, ...], fixed: Mapping[str, str]) -> Form:
    """Compiles one form; ValueError where its placeholders are not usable."""
    names = _PLACE.findall(text)
    if len(set(names)) != len(names):
        raise ValueError("a placeholder stands twice")
    if "base" not in {*names, *fixed} or "quote" not in {*names, *fixed}:
        raise ValueError("a form needs {base} and {quote}, or says them beside it")
    pattern = ""
    at = 0
    for place in _PLACE.finditer(text):
        pattern += re.escape(text[at : place.start()]) + f"(?P<{place.group(1)}>{_part(place.group(1), quotes)})"
        at = place.end()
    return Form(text, re.compile(pattern + re.escape(text[at:]) + r"\Z"), dict(fixed))


def _part(name: str, quotes: tuple[str, ...]) -> str:
    if name == "quote" and quotes:
        return "|".join(re.escape(quote) for quote in quotes)
    if name in ("expiry", "strike"):
        return r"[0-9][0-9A-Za-z.]*?"
    return _WORD


def resolver(
    forms: tuple[Form, ...],
    table: Mapping[str, Symbol],
    aliases: Mapping[str, str],
    record: str | None,
) -> Callable[[str], Symbol | None]:
    """The look-up from native name to Symbol, cached by name; ``record`` is the template of our spelling."""
    cache: dict[str, Symbol | None] = dict(table)

    def resolve(native: str) -> Symbol | None:
        try:
            return cache[native]
        except KeyError:
            found = _read(native)
            if len(cache) < 100_000:
                cache[native] = found
            return found

    def _read(native: str) -> Symbol | None:
        for rule in forms:
            found = rule.pattern.match(native)
            if found:
                return _symbol(native, {**found.groupdict(), **rule.fixed}, aliases, record)
        return None

    return resolve


def _symbol(native: str, parts: Mapping[str, str], aliases: Mapping[str, str], record: str | None) -> Symbol:
    base = parts["base"].upper()
    quote = parts["quote"].upper()
    base, quote = aliases.get(base, base), aliases.get(quote, quote)
    if record is None:
        spelling = base + quote
    elif record == "native":
        spelling = native.upper()
    else:
        values = {**parts, "base": base, "quote": quote, "native": native}
        spelling = _PLACE.sub(lambda place: values[place.group(1)].upper(), record)
    extra = tuple((name, text) for name, text in parts.items() if name not in ("base", "quote"))
    return Symbol(native, spelling, base, quote, extra)
