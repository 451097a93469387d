"""Sides: by a map of values, by a flag that says who the maker was, or by the sign of an amount."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn import exactjson
from k2conn.tools.drafting.columns import ItemColumn
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.words import folded, rank

NAMES = {"side": 9, "S": 8, "takerside": 9, "tradeside": 9, "direction": 8, "ab": 8, "askbid": 9, "m": 7, "bm": 8,
         "isbuyermaker": 9, "buyermaker": 9, "ismakerask": 9,
         "ismakerseller": 9, "ismakerbuyer": 9, "maker": 7, "s": 6, "type": 5, "tradetype": 8, "sd": 6, "way": 6,
         "makerside": 9, "aggressorside": 9, "isbuyer": 7, "takerordertype": 8, "bs": 5, "d": 3, "dir": 7, "t": 5}
PAIRS = (("buy", "sell"), ("b", "s"), ("bid", "ask"), ("bid", "offer"), ("b", "a"), ("buyer", "seller"),
         ("long", "short"))
"""Names of the aggressor's sides, the buying one first."""
CODES = (("0", "1"), ("1", "2"), ("1", "-1"))
_FLAGS = frozenset({"istaker", "taker", "ismaker", "maker"})
_ROLES = frozenset({"role", "liquidity", "takermaker", "makertaker", "executiontype"})
"""Names of what says whose the side is that stands beside it."""
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
    flag = next((one for one in columns if one.path[:-1] == column.path[:-1] and _tells_whose(one)), None)
    return (_inverted(found, flag) if flag is not None and "map" in found.value else found), column


def _tells_whose(column: ItemColumn) -> bool:
    """Whether a column says of each record whether it is the taker's or the maker's."""
    if folded(column.name) in _ROLES:
        return bool(column.present) and {str(value).lower() for value in column.present} <= {"maker", "taker", "m", "t"}
    return folded(column.name) in _FLAGS and bool(column.present) and all(
        isinstance(value, bool) for value in column.present
    )


def _inverted(side: Guess, flag: ItemColumn) -> Guess:
    """A side that is the taker's in some records and the maker's in others, as a flag beside it says."""
    name = folded(flag.name)
    if name in _ROLES:
        seen = sorted({str(value) for value in flag.present})
        maker: object = next((one for one in seen if one.lower() in ("maker", "m")), "maker")
    else:
        seen, maker = sorted({exactjson.spell(value) for value in flag.present}), "maker" in name
    rule = {**side.value, "invert_when": {flag.expression: maker}}
    why = f"{side.why}; {flag.expression} beside it is {' or '.join(seen)}"
    return Guess(rule, why, False, "that it says whose side this is")


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
    maker = "maker" in name or name in ("m", "bm")
    if not maker and "buy" not in name:
        return None
    seller = maker and any(word in name for word in ("ask", "sell"))
    bought = seller or not maker
    yes, no = ("BUY", "SELL") if bought else ("SELL", "BUY")
    rule = {"from": column.expression, "map": {"true": yes, "false": no}}
    who = "the seller was the maker" if seller else "the buyer was the maker" if maker else "the buyer took"
    return Guess(rule, f"a flag, by its name that {who}", False, "that it says so")


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
