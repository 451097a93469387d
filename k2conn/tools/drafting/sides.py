"""Sides: by a map of values, by a flag that says who the maker was, or by the sign of an amount."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn import exactjson
from k2conn.tools.drafting.columns import ItemColumn
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.words import folded, rank

NAMES = {"side": 9, "S": 8, "takerside": 9, "tradeside": 9, "direction": 8, "ab": 8, "askbid": 9, "m": 7, "bm": 8,
         "isbuyermaker": 9, "buyermaker": 9, "maker": 7, "s": 6, "type": 5, "tradetype": 8, "sd": 6, "way": 6,
         "makerside": 9, "aggressorside": 9, "isbuyer": 7, "takerordertype": 8, "bs": 5, "d": 3, "dir": 7, "t": 5}
PAIRS = (("buy", "sell"), ("b", "s"), ("bid", "ask"), ("bid", "offer"), ("b", "a"), ("buyer", "seller"),
         ("long", "short"))
"""Names of the aggressor's sides, the buying one first."""
CODES = (("0", "1"), ("1", "2"), ("1", "-1"))
_WHOSE = "whether this names the aggressor (taker) or the maker"


def guess(columns: Sequence[ItemColumn], quantity: ItemColumn | None = None) -> tuple[Guess | None, ItemColumn | None]:
    """The side's rule, and the column it is read from; None where frames have no side."""
    scored = [(rank(column.name, NAMES), not column.outer, found, column)
              for column in columns if (found := _rule(column)) is not None]
    if quantity is not None and any((number(value) or 0) < 0 for value in quantity.present):
        rule = {"from": quantity.expression, "sign": {"positive": "BUY", "negative": "SELL"}}
        gap = "that a negative amount is the aggressor's sale"
        return Guess(rule, "amounts above and below zero", True, gap), quantity
    if not scored:
        return None, None
    _, _, found, column = max(scored, key=lambda one: one[:2])
    return found, column


def _rule(column: ItemColumn) -> Guess | None:
    """The rule that reads a column as a side; None where it cannot be one."""
    values = {exactjson.spell(value) for value in column.present}
    named = rank(column.name, NAMES)
    if not values:
        return None
    if all(isinstance(value, bool) for value in column.present):
        return _flag(column) if named else None
    if all(isinstance(value, str) for value in column.present):
        for buy, sell in PAIRS:
            if {value.lower() for value in values} <= {buy, sell} and (named or len(buy) > 1 or column.name.isdigit()):
                return _mapped(column, buy, sell, next(iter(sorted(values))))
    if named >= 5 and not isinstance(column.present[0], bool):
        fitting = [pair for pair in CODES if values <= set(pair)]
        if fitting:
            buy, sell = _likelier(fitting, values)
            rule = {"from": column.expression, "map": {buy: "BUY", sell: "SELL"}}
            why = f"codes {', '.join(sorted(values))}, the lower one buys"
            return Guess(rule, why, False, f"what they mean, and {_WHOSE}")
    return None


def _likelier(fitting: list[tuple[str, str]], values: set[str]) -> tuple[str, str]:
    return next((pair for pair in fitting if set(pair) == values), fitting[0])


def _flag(column: ItemColumn) -> Guess | None:
    name = folded(column.name)
    buyer = "buy" in name and "maker" not in name and name != "bm"
    if not (buyer or "maker" in name or name in ("m", "bm")):
        return None
    rule = {"from": column.expression, "map": {"true": "BUY" if buyer else "SELL", "false": "SELL" if buyer else "BUY"}}
    why = "a flag, by its name that the buyer took" if buyer else "a flag, by its name that the buyer was the maker"
    return Guess(rule, why, False, "that it says so")


def _mapped(column: ItemColumn, buy: str, sell: str, seen: str) -> Guess:
    """The map in the venue's case; the value that was not seen is added."""
    cased = str.upper if seen.isupper() else str.capitalize if seen[:1].isupper() else str.lower
    rule = {"from": column.expression, "map": {cased(buy): "BUY", cased(sell): "SELL"}}
    present = len(column.present)
    if "maker" in folded(column.name):
        rule["map"] = {cased(buy): "SELL", cased(sell): "BUY"}
    if present < len(column.values):
        rule["absent"] = "UNKNOWN"
    seen_values = sorted({str(value) for value in column.present})
    return Guess(rule, f"{present} of {len(column.values)} are {' or '.join(seen_values)}", True, _WHOSE)
