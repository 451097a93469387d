"""Native symbols to base, quote and our own spelling: by table, form or declared list, never by a guess.

A *form* is a pattern in the exchange's spelling, such as ``{base}/{quote}`` or ``{base}{quote}_{expiry}``. A part holds
letters and digits, or what is declared for it, so it never swallows a separator. Where none parts base from quote, the
quote currencies are a declared list, the longest that fits decides (BTCFDUSD is BTC in FDUSD although USD is listed
too), and a table settles what is still told wrongly. Words of a list are compared without regard to case, because
records have upper case and some venues write btcusdt. No match is None, which the engine makes a dead letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from k2conn.compiler.converters.name_parts import OPEN, NamePart, literal
from k2conn.compiler.converters.patterns import PLACE, check_places
from k2conn.compiler.language.problems import short
from k2conn.plan import ListedInstrument, Symbol

_LONGEST = 100
"""Characters of a native symbol; what is longer is none."""
_CACHED = 2_000
"""Names that are read once for all streams; what is kept of a symbol that comes again keeps the reading, too."""


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling rule: its pieces, and what the rule says itself because the name does not."""

    text: str
    pieces: tuple[tuple[str, NamePart], ...]
    """The parts and, without a name, the text between them."""
    pattern: re.Pattern[str]
    fixed: Mapping[str, str]
    record: str | None = None
    """Our spelling for this form alone; None: as for all."""
    asset_class: str = ""
    currency: str = ""
    """A template of the currency of prices; empty: the quote."""
    overrides: bool = False
    """Whether names that later forms read too are meant to be this form's."""

    @property
    def parts(self) -> frozenset[str]:
        """The names that every symbol of this form has."""
        return frozenset(self.pattern.groupindex) | frozenset(self.fixed)


def form(
    text: str,
    parts: Mapping[str, NamePart],
    fixed: Mapping[str, str],
    record: str | None = None,
    asset_class: str = "",
    currency: str = "",
    overrides: bool = False,
) -> Form:
    """Compiles one form; ``parts`` say what its parts may hold. ValueError where its placeholders are not usable."""
    check_places(text)
    names = PLACE.findall(text)
    if len(set(names)) != len(names):
        raise ValueError(f"a part of '{short(text)}' stands twice")
    if "base" not in {*names, *fixed} or "quote" not in {*names, *fixed}:
        raise ValueError(f"'{short(text)}' does not give both {{base}} and {{quote}}; say what is fixed beside `form:`")
    split = PLACE.split(text)
    pieces = tuple(
        (one, parts.get(one, OPEN)) if at % 2 else ("", literal(one)) for at, one in enumerate(split) if at % 2 or one
    )
    _check_neighbours(pieces)
    pattern = "".join(f"(?P<{name}>{part.pattern})" if name else part.pattern for name, part in pieces)
    return Form(text, pieces, re.compile(pattern + r"\Z"), dict(fixed), record, asset_class, currency, overrides)


def _check_neighbours(pieces: tuple[tuple[str, NamePart], ...]) -> None:
    """Refuses parts of which nothing says where one ends. With one place in a form where the longest word decides, and
    one reading for every name (`form_checks`), matching needs no more tries than the name has characters for each step.
    """
    decided, joined = 0, False
    for (first, one), (second, other) in pairwise(pieces):
        joined = not joined and bool(first and second) and one.bounded != other.bounded
        decided += joined
    if decided > 1:
        raise ValueError("at one place of a form only may a list of words, a date or a width say where a part ends: "
                         "put text between, or say the `width` of more parts (`text` of a field puts names together)")
    for (first, one), (second, other) in pairwise(pieces):
        if first and second and not (one.bounded or other.bounded):
            hint = ": list the currencies in `quotes:`" if "quote" in (first, second) else ": list one under `parts:`"
            raise ValueError(f"nothing separates {{{first}}} from {{{second}}}{hint}")


class Resolver:
    """The look-up from native name to Symbol, cached by name; what the table says comes first."""

    def __init__(
        self, forms: tuple[Form, ...], table: Mapping[str, Symbol], aliases: Mapping[str, str], record: str | None
    ) -> None:
        self._forms = forms
        self._table = table
        self._aliases = aliases
        self._record = record
        self._shown: dict[str, Symbol] = {}
        self._cached = lru_cache(_CACHED)(self._read)

    def __call__(self, native: str) -> Symbol | None:
        """The symbol of a native name; None where no rule reads it."""
        found = self._table.get(native) or self._shown.get(native)
        return found if found is not None or len(native) > _LONGEST else self._cached(native)

    def listed(self, native: str, said: Mapping[str, str]) -> Symbol | None:
        """The symbol of a name of which the venue itself says something; the table comes first here, too."""
        return self._table.get(native) or self._read(native, said)

    def show(self, listed: Iterable[ListedInstrument]) -> None:
        """Takes in what the file's own tests show of the venue's list: it stands between table and forms."""
        for one in listed:
            found = self.listed(one.native, one.said)
            if found is not None:
                self._shown[one.native] = found

    def _read(self, native: str, said: Mapping[str, str] | None = None) -> Symbol | None:
        """The symbol by the first form that fits; what the venue itself has ``said`` stands before its parts."""
        if len(native) > _LONGEST:
            return None
        for rule in self._forms:
            found = rule.pattern.match(native)
            if found:
                parts = {**found.groupdict(), **rule.fixed, **(said or {})}
                return self._symbol(native, parts, rule.record or self._record, rule.asset_class, rule.currency)
        return self._symbol(native, said, self._record) if said and {"base", "quote"} <= said.keys() else None

    def _symbol(
        self, native: str, parts: Mapping[str, str], record: str | None, asset_class: str = "", currency: str = ""
    ) -> Symbol:
        base, quote = (self._aliases.get(part, part) for part in (parts["base"].upper(), parts["quote"].upper()))
        extra = tuple((name, text) for name, text in parts.items() if name not in ("base", "quote"))
        known = {**parts, "base": base, "quote": quote}
        priced = spelling(native, known, currency) if currency else ""
        return Symbol(native, spelling(native, known, record), base, quote, extra, asset_class, priced)


def resolver(
    forms: tuple[Form, ...],
    table: Mapping[str, Symbol],
    aliases: Mapping[str, str],
    record: str | None,
) -> Resolver:
    """The look-up of one connector; ``record`` is the template of our spelling."""
    return Resolver(forms, table, aliases, record)


def spelling(native: str, parts: Mapping[str, str], record: str | None) -> str:
    """Our spelling of a symbol: base and quote, ``native`` in upper case, or what the template says."""
    if record is None:
        return parts["base"] + parts["quote"]
    if record == "native":
        return native.upper()
    values = {**parts, "native": native}
    return PLACE.sub(lambda place: values[place.group(1)].upper(), record)
