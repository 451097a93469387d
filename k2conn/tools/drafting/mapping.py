"""A guessed mapping: one record type out of one group of messages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from k2conn.tools.drafting.columns import ItemPlace
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import MessageKind
from k2conn.tools.drafting.natives import DraftSymbol


@dataclass(frozen=True, slots=True)
class DraftMapping:
    """How a group's messages would be mapped. ``score`` says how well names and values fit."""

    record: str
    place: ItemPlace
    symbol: DraftSymbol
    fields: dict[str, Guess]
    groups: tuple[MessageKind, ...]
    score: int
    options: dict[str, Guess] = field(default_factory=dict)
    """Further keys of the stream: sequence, order, carry, identity, snapshot."""
    notes: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()
    partial: bool = False
    """A side of the quote is absent in some messages."""

    @property
    def shape(self) -> Any:
        """Equal for two groups that one stream can map."""
        rule = {name: repr(guess.value) for name, guess in self.fields.items() if name != "side"}
        source = self.symbol.guess.value
        rule["symbol"] = repr(source.get("from") if isinstance(source, dict) else source)
        rule["intervals"] = repr(self.options["intervals"].value) if "intervals" in self.options else ""
        side = self.fields.get("side")
        rule["side"] = repr(side.value.get("from")) if side and isinstance(side.value, dict) else ""
        return self.record, self.place, tuple(sorted(rule.items()))

    def joined(self, other: DraftMapping) -> DraftMapping:
        """Both groups in one mapping."""
        better = max((self, other), key=lambda one: sum(len(group.frames) for group in one.groups))
        symbol = replace(better.symbol, seen=self.symbol.seen + other.symbol.seen)
        return replace(better, symbol=symbol, groups=self.groups + other.groups, ids=self.ids | other.ids,
                       score=max(self.score, other.score))
