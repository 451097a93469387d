"""Trades: price, quantity, side, time and id among the columns of a group's items."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations

from k2conn.tools.drafting import identities, moments, natives, sides
from k2conn.tools.drafting.columns import ItemColumn, Pool, pools
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import MessageKind
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.mapping import DraftMapping
from k2conn.tools.drafting.words import (
    ACK_WORDS,
    BEAT_WORDS,
    BOOK_WORDS,
    OTHER_WORDS,
    QUOTE_WORDS,
    TRADE_WORDS,
    folded,
    rank,
    words,
)

PRICES = {"pricestr": 10, "price": 9, "px": 9, "p": 8, "tradeprice": 9, "tp": 7, "rate": 6, "execprice": 9,
          "lastprice": 4, "pr": 6, "r": 3}
QUANTITIES = {"amountstr": 10, "quantity": 10, "qty": 9, "q": 8, "sz": 9, "size": 9, "amount": 8, "tradevolume": 9,
              "volume": 7, "vol": 7, "v": 7, "tv": 7, "tradeamount": 8, "tradeqty": 9, "execqty": 9, "baseamount": 8,
              "tradesize": 9, "a": 3, "s": 5, "basevolume": 7, "qtystr": 10, "sizestr": 10, "filled": 5}
_NOT_TRADES = frozenset({"bids", "asks", "bid", "ask", "bestbid", "bestask", "open", "high", "open24h", "bidprice",
                         "askprice", "lastupdateid", "checksum", "bestbidprice", "highestbid", "bidpx"})
_ENOUGH = 20
_LATER, _MANY = 3, 5
"""Messages of a symbol that show how large they are, and trades that are many."""
_CERTAIN = 9
"""The rank of a name that can mean nothing else."""


def find(group: MessageKind, others: Sequence[MessageKind]) -> DraftMapping | None:
    """The trades in a group's messages, where there are any."""
    group_words = group.words
    told = group_words & TRADE_WORDS
    if group_words & (BOOK_WORDS | OTHER_WORDS | BEAT_WORDS | QUOTE_WORDS | ACK_WORDS) and not told:
        return None
    if group_words & BOOK_WORDS and not group_words & {"executions", "trades", "publictrade"}:
        return None
    found = [mapping for pool in pools(group.messages) if (mapping := _fit(pool, group, others)) is not None]
    return max(found, key=lambda one: (one.score, len(one.place.path)), default=None)


def _fit(pool: Pool, group: MessageKind, others: Sequence[MessageKind]) -> DraftMapping | None:
    names = {folded(column.name) for column in pool.inner if len(column.path) == 1}
    if names & _NOT_TRADES:
        return None
    direct = [column for column in pool.inner if len(column.path) == 1]
    found = _by_position(direct) if pool.rows else _by_name(direct)
    if found is None:
        return None
    price, quantity, identity = found
    taken: list[ItemColumn | None] = [price, quantity, identity]
    when, moment = moments.guess([one for one in pool.columns if one not in taken], pool.rows)
    if pool.rows and (moment is None or moment.outer):
        return None
    side, column = sides.guess([one for one in pool.columns if one not in (price, quantity)], quantity)
    told = bool((group.words | words(map(str, pool.place.path))) & TRADE_WORDS)
    if not told and (side is None or moment is None):
        return None
    symbol = natives.find_symbol(pool, group, others)
    taken += [moment, column, symbol.column]
    if not pool.rows:
        group_words, identity = identities.guess(pool, identities.TRADE_NAMES, taken)
    else:
        group_words = Guess(identity.expression, "large whole numbers, all different") if identity else None
    fields = {"trade_id": group_words} if group_words else {}
    fields |= {"price": _price(price), "quantity": _quantity(quantity), "timestamp": when}
    fields["side"] = side or Guess({"value": "UNKNOWN"}, "no side was found", False, "whether the venue tells it")
    score = rank(price.name, PRICES) + rank(quantity.name, QUANTITIES) + 9 * (side is not None)
    score += 6 * told + 4 * bool(group_words)
    score += 4 * (moment is not None) + _ENOUGH * pool.rows
    options, notes = _options(pool, group, identity, symbol, moment, bool(group_words))
    ids = frozenset(str(value) for value in identity.present) if identity else frozenset()
    return DraftMapping("trade", pool.place, symbol, fields, (group,), score, options, notes, ids)


def _by_name(columns: Sequence[ItemColumn]) -> tuple[ItemColumn, ItemColumn, ItemColumn | None] | None:
    columns = [one for one in columns if one not in _products(columns)]
    prices = [(rank(one.name, PRICES), one) for one in columns if one.numeric and rank(one.name, PRICES)]
    quantities = [(rank(one.name, QUANTITIES), one) for one in columns if one.numeric and rank(one.name, QUANTITIES)]
    if not prices or not quantities:
        return None
    price, quantity = (max(found, key=lambda one: (len(one[1].present), one[0]))[1] for found in (prices, quantities))
    return (price, quantity, None) if price is not quantity else None


def _products(columns: Sequence[ItemColumn]) -> list[ItemColumn]:
    """Columns that are two others multiplied in every record: what was paid, neither price nor quantity."""
    numeric = [one for one in columns if one.numeric and one.complete and moments.unit(one.present) is None]
    found: list[ItemColumn] = []
    for one, two in combinations(numeric, 2):
        for three in numeric:
            if three is not one and three is not two and all(
                map(_multiplied, one.values, two.values, three.values)
            ):
                found.append(three)
    return found


def _multiplied(one: object, two: object, three: object) -> bool:
    first, second, third = (number(value) or Decimal(0) for value in (one, two, three))
    return 1 not in (first, second) and third != 0 and abs(first * second - third) * 500 <= abs(third)


def _by_position(columns: Sequence[ItemColumn]) -> tuple[ItemColumn, ItemColumn, ItemColumn | None] | None:
    """Of an array: the two numbers that are left once time and id are taken. The signed one is the quantity."""
    numeric = [one for one in columns if one.numeric and one.complete and moments.unit(one.present) is None]
    untimed = [one for one in columns if moments.unit(one.present) is None]
    identity = identities.first_whole(untimed) if len(numeric) > 2 else None
    left = [one for one in numeric if one is not identity]
    if len(left) < 2:
        return None
    price, quantity = left[0], left[1]
    first = identity is not None and columns and identity is columns[0]
    if any((number(value) or 0) < 0 for value in price.present) or (first and not _signed(quantity)):
        price, quantity = quantity, price
    return price, quantity, identity


def _signed(column: ItemColumn) -> bool:
    return any((number(value) or 0) < 0 for value in column.present)


def _price(column: ItemColumn) -> Guess:
    count = len(column.present)
    why = f"{count} of {len(column.values)} are numbers"
    if column.name.isdigit():
        return Guess(column.source, f"{why}, told by position alone", False)
    if all(isinstance(value, int) and value >= 1000 for value in column.present):
        return Guess(column.expression, f"{why}, all whole", False, "whether prices are scaled (`scale:`)")
    return Guess(column.source, why, rank(column.name, PRICES) >= _CERTAIN)


def _quantity(column: ItemColumn) -> Guess:
    why = f"{len(column.present)} of {len(column.values)} are numbers"
    if _signed(column):
        return Guess({"from": column.expression, **column.said, "magnitude": True}, f"{why}, some below zero", False)
    return Guess(column.source, why, rank(column.name, QUANTITIES) >= _CERTAIN)


def _first_batch(pool: Pool, symbols: ItemColumn | None) -> Guess | None:
    """What to do with each symbol's first message, where that has many more trades than all later ones."""
    sizes: dict[object, dict[int, int]] = {}
    for place, owner in enumerate(pool.owners):
        one = sizes.setdefault(symbols.values[place] if symbols is not None else "", {})
        one[owner] = one.get(owner, 0) + 1
    known = [list(one.values()) for one in sizes.values() if len(one) >= _LATER]
    if not known or any(first < _MANY or first < 3 * max(later) for first, *later in known):
        return None
    first, later = min(one[0] for one in known), max(max(one[1:]) for one in known)
    why = f"the first message of a symbol has {first} trades or more, later ones have {later} at most"
    return Guess("tag", why, False, "that it is the recent past")


def _options(
    pool: Pool, group: MessageKind, identity: ItemColumn | None, symbol: natives.DraftSymbol,
    moment: ItemColumn | None, has_id: bool,
) -> tuple[dict[str, Guess], tuple[str, ...]]:
    options: dict[str, Guess] = {}
    rule, seen = identities.sequence(identity, symbol.column)
    if not has_id:
        fields = ["timestamp", "price", "quantity", "side"]
        options["identity"] = Guess(fields, "no id was found; equal rows are numbered", False)
    if rule is not None:
        options["sequence"] = Guess(rule, seen.partition(": ")[2], seen.startswith("sure"))
    if identities.newest_first(pool, identity) or identities.newest_first(pool, moment):
        options["order"] = Guess("newest-first", "ids or times go down within a message")
        options.pop("sequence", None)
    if (batch := _first_batch(pool, symbol.column)) is not None:
        options["first_batch"] = batch
    notes = (f"sequence: {seen}",) if seen and rule is None else ()
    return options, notes
