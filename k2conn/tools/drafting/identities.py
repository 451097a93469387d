"""Ids: which column they are in, and whether their numbers are contiguous or monotonic."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from k2conn import exactjson
from k2conn.tools.drafting.columns import ItemColumn, Pool
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.leaves import whole
from k2conn.tools.drafting.words import folded, rank

TRADE_NAMES = {"tradeid": 9, "execid": 9, "matchid": 9, "dealid": 9, "tid": 8, "sequentialid": 8, "uid": 7,
               "id": 7, "i": 6, "t": 6, "sid": 6, "a": 5, "tradeno": 8, "d": 4, "fillid": 8, "eventid": 6,
               "trdmatchid": 9, "l": 1}
QUOTE_NAMES = {"u": 7, "updateid": 8, "bookupdateid": 9, "quoteid": 9, "seqid": 7, "sequence": 7, "seq": 6,
               "lastupdateid": 7, "seqnum": 5, "changeid": 7, "version": 3}
_SHORTEST = 3
_PLAIN = 7
"""The rank of a name that means an id, however short that is."""
_TELLING = 10
"""Records that show that an id is one, and steps that show a rule."""


def guess(
    pool: Pool, names: dict[str, int], taken: Sequence[ItemColumn | None]
) -> tuple[Guess | None, ItemColumn | None]:
    """The id's expression and column; None where no column identifies records."""
    found: list[tuple[tuple[int, ...], ItemColumn]] = []
    for column in pool.inner:
        ranked = rank(column.name, names)
        if ranked and column not in taken and len(column.path) == 1 and _distinct(column, pool.items, ranked >= _PLAIN):
            found.append(((column.complete and ranked, ranked), column))
    if not found:
        return None, None
    _, column = max(found, key=lambda one: one[0])
    better = max(found, key=lambda one: one[0][1])[1]
    why = f"{len(set(map(str, column.present)))} different values in {len(column.values)} records"
    if better is not column and better.present:
        text = f"{better.expression} || {column.expression}"
        return Guess(text, f"{why}; {better.expression} is in {len(better.present)} of them", False), column
    missing = len(column.values) - len(column.present)
    gap = f"{missing} records have none and become dead letters" if missing else ""
    return Guess(column.expression, why, len(column.present) >= _TELLING and not gap, gap), column


def first_whole(columns: Sequence[ItemColumn]) -> ItemColumn | None:
    """Of an array's positions, the first that holds whole numbers all different and large: taken for an id by its
    position.
    """
    for column in columns[:2]:
        numbers = [whole(value) for value in column.present]
        large = bool(numbers) and all(one is not None and one >= 100_000 for one in numbers)
        if large and column.complete and _distinct(column, ()):
            return column
    return None


def sequence(column: ItemColumn | None, symbols: ItemColumn | None) -> tuple[dict[str, object] | None, str]:
    """The `sequence` entry for whole-number ids, or nothing; and what was seen."""
    if column is None or not column.complete or not all(whole(value) is not None for value in column.present):
        return None, ""
    steps = _steps(column, symbols)
    if any(abs(one) >= 2**53 for one in map(_int, column.values)):
        return None, "numbers beyond 2^53 are no counters"
    if len(steps) < 3:
        return None, f"GAP: contiguous or monotonic? Only {len(steps)} steps within a symbol were seen"
    rule = "contiguous" if set(steps) == {1} else "monotonic" if min(steps) > 0 else ""
    if not rule:
        return None, "guess: ids go back and forth, so nothing is promised"
    sequence_rule: dict[str, object] = {"from": column.expression, "rule": rule, "per": "symbol"}
    sure = "sure" if len(steps) >= _TELLING else "guess"
    return sequence_rule, f"{sure}: {len(steps)} steps within a symbol are all so"


def newest_first(pool: Pool, column: ItemColumn | None) -> bool:
    """Whether within one message the numbers of a column (ids, times) go down."""
    if column is None:
        return False
    steps: list[int] = []
    for before, after, one, other in zip(pool.owners, pool.owners[1:], column.values, column.values[1:], strict=False):
        first, second = whole(one), whole(other)
        if before == after and first is not None and second is not None:
            steps.append(second - first)
    return bool(steps) and all(step <= 0 for step in steps) and any(steps)


def _steps(column: ItemColumn, symbols: ItemColumn | None) -> list[int]:
    last: dict[object, int] = {}
    steps: list[int] = []
    for place, value in enumerate(column.values):
        symbol = exactjson.spell(symbols.values[place]) if symbols and symbols.values[place] is not None else ""
        if symbol in last:
            steps.append(_int(value) - last[symbol])
        last[symbol] = _int(value)
    return steps


def _int(value: object) -> int:
    return whole(value) or 0


def _distinct(column: ItemColumn, items: Sequence[object], named: bool = False) -> bool:
    """Whether the values could be ids: whole numbers or texts, and (but for records sent twice) all different. Short
    ones are, where the name says so.
    """
    once = {exactjson.encode(item): value for item, value in zip(items, column.values, strict=False)}
    values = [value for value in once.values() if value not in (None, "")] if items else column.present
    if not values or any(isinstance(value, (bool, dict, list, Decimal)) for value in values):
        return False
    spelled = [str(value) for value in values]
    if any("." in one for one in spelled) or folded(column.name) == "symbol":
        return False
    return len(set(spelled)) * 10 >= len(spelled) * 8 and (
        any(len(one) >= _SHORTEST for one in spelled) or (named and len(set(spelled)) > 1)
    )
