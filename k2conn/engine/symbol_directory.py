"""Which instrument a venue's name means, for one running connector.

The connector file's rule reads names and never changes. What a venue's own instrument list says of a name is learnt
while the connector runs, and comes first; so it is kept here and not in the plan. So is what the list says of tick, lot
and status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2conn.plan import Instrument, Symbol, SymbolRule

_AT_ONCE = 500
LONGEST = 100
"""Characters of a name, and of its base and quote, in a venue's list: others are not taken in."""


class SymbolDirectory:
    """The rule of a connector file, and what the venue's instrument list has told since."""

    def __init__(self, rule: SymbolRule, most: int) -> None:
        """``most``: listed names that are known; further ones are not taken in."""
        self._rule = rule
        self._most = most
        self.passed_over = 0
        """How often a listed name was not taken in."""
        self._listed: dict[str, Symbol] = {}
        self.instruments: Mapping[str, Instrument] = {}
        """What the list said last of each instrument, by our spelling; empty before it was read."""
        self.listed: Mapping[str, Symbol] = {}
        """What it named last, by the venue's names; empty before it was read."""
        self.revision = 0
        """How often it was read."""
        self.whole = False
        """Whether these are all that it names."""

    def resolve(self, native: str) -> Symbol | None:
        """The instrument of a venue's name; None where neither the list nor the rule reads it."""
        return self._listed.get(native) or self._rule.resolve(native)

    def learn(self, native: str, said: Mapping[str, str]) -> bool:
        """Takes in what the venue's list says of one name, within the bounds (what is beyond is counted); False where
        that is not enough to know what the name means.
        """
        full = len(self._listed) >= self._most and native not in self._listed
        if full or max(map(len, (native, *said.values()))) > LONGEST:
            self.passed_over += 1
            return True
        found = self._rule.resolve_listed(native, said)
        if found is not None:
            self._listed[native] = found
        return found is not None

    def describe(self, described: Mapping[str, Instrument]) -> Iterator[None]:
        """Takes in what the list says of all instruments, by the venue's names, in place of what it said before; gives
        others a turn now and then. Those that no rule reads are left out.
        """
        found: dict[str, Instrument] = {}
        listed: dict[str, Symbol] = {}
        whole = True
        for number, (native, instrument) in enumerate(described.items(), 1):
            if not number % _AT_ONCE:
                yield
            symbol = self.resolve(native) if len(native) <= LONGEST else None
            if symbol is None:
                continue
            if len(found) >= self._most:
                whole = False
                break
            found[symbol.record] = instrument
            listed[native] = symbol
        self.instruments, self.whole, self.listed = found, whole and bool(found), listed
        self.revision += 1

    def tradable(self) -> list[Symbol]:
        """What the list named last, without what does not trade."""
        return [symbol for symbol in self.listed.values() if self.instruments[symbol.record].trading is not False]
