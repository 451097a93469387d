"""Quotes: the best bid and ask, as members, as levels, or by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from k2conn.tools.drafting import identities, moments, natives
from k2conn.tools.drafting.columns import ItemColumn, Pool, pools
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import MessageKind
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.mapping import DraftMapping
from k2conn.tools.drafting.separators import source
from k2conn.tools.drafting.words import (
    ACK_WORDS,
    OTHER_WORDS,
    QUOTE_WORDS,
    TRADE_WORDS,
    folded,
)

_TOP = re.compile(r"(?:books?|orderbook|depth|level)[._-]?1(?![0-9])|bbo|best|top")
_BIDS = ("bid", "bidprice", "bidpx", "bp", "b", "bids")
_ASKS = ("ask", "askprice", "askpx", "ap", "k", "a", "asks")
_SIZES = ("size", "sz", "qty", "quantity", "amount", "vol", "volume", "q", "s")
PRICES = ("px", "price", "p")
_SIDES = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")


class QuoteSide(NamedTuple):
    """One side of a quote: expressions, and the values of the price."""

    price: str
    quantity: str | None
    values: tuple[Any, ...]
    levels: int
    """Levels of the longest book seen; 0 where the side is no list."""
    whole: bool = False
    """Whether each message has levels, none is deleted, and they are in their order: the whole side, it seems."""
    said: tuple[dict[str, str], dict[str, str]] = ({}, {})
    """What is to be said beside the expressions."""


def find(group: MessageKind, others: Sequence[MessageKind]) -> DraftMapping | None:
    """The quotes in a group's messages, where there are any."""
    group_words = group.words
    texts = " ".join(text for _, text in group.texts)
    top = bool(_TOP.search(texts.lower())) or bool(group_words & QUOTE_WORDS)
    if group_words & (OTHER_WORDS - {"price"}) or (group_words & (ACK_WORDS - {"subscribe", "subscription"})):
        return None
    if group_words & TRADE_WORDS and not group_words & QUOTE_WORDS:
        return None
    found = [mapping for pool in pools(group.messages) if (mapping := _fit(pool, group, others, top)) is not None]
    return max(found, key=lambda one: (one.score, len(one.place.path)), default=None)


def changes(group: MessageKind) -> bool:
    """Whether a group's messages seem to have levels of a book: where `find` found no quote in them, its changes."""
    for pool in pools(group.messages):
        direct = {folded(one.name) if len(one.name) > 1 else one.name: one for one in pool.inner if len(one.path) == 1}
        bid, ask = _pair(direct)
        if not pool.rows and bid is not None and ask is not None and max(bid.levels, ask.levels):
            return True
    return False


def _fit(pool: Pool, group: MessageKind, others: Sequence[MessageKind], top: bool) -> DraftMapping | None:
    texts = " ".join(text for _, text in group.texts)
    direct = {folded(one.name) if len(one.name) > 1 else one.name: one for one in pool.inner if len(one.path) == 1}
    bid, ask = _positions(pool, top) if pool.rows else _pair(direct)
    if bid is None or ask is None or not _ordered(bid, ask):
        return None
    levels = max(bid.levels, ask.levels)
    best = bool(_TOP.search(texts.lower()))
    book = levels > 1 and (group.states is None or not best)
    if book and not (bid.whole and ask.whole):
        return None  # changes of a book: the first of them need not be the best
    if (levels == 1 and not top) or (not top and bid.quantity is None):
        return None
    symbol = natives.find_symbol(pool, group, others)
    columns = [one for one in pool.columns if one.numeric or not pool.rows]
    when, moment = moments.guess(columns, pool.rows)
    quote_id, identity = identities.guess(pool, identities.QUOTE_NAMES, [moment, symbol.column])
    if identity is not None and not identity.complete:
        quote_id = None
    if quote_id and (whole := identities.sequence(identity, None)[1]).startswith("numbers"):
        quote_id = None
        when = Guess(when.value, f"{when.why}; {whole}", when.sure, when.gap)
    fields: dict[str, Guess] = {"quote_id": quote_id} if quote_id else {}
    fields["timestamp"] = when
    for name, side in (("bid", bid), ("ask", ask)):
        fields |= _side(name, side, _absent(bid, ask))
    if book:
        gap = "that each message has the whole book, the best first, and not its changes"
        fields = {name: one._replace(why=f"{one.why}, the first of up to {levels} levels", sure=False)
                  if name in _SIDES else one for name, one in fields.items()}
        fields["bid_price"] = fields["bid_price"]._replace(gap=gap)
    options: dict[str, Guess] = {}
    if not quote_id:
        options["identity"] = Guess(["timestamp", *_SIDES], "no id was found; equal rows are numbered", False)
    score = 20 + 6 * top + 4 * (bid.quantity is not None) + 2 * bool(quote_id)
    score += 8 * ("bookticker" in group.words or best) - 12 * book
    return DraftMapping("quote", pool.place, symbol, fields, (group,), score, options, partial=_absent(bid, ask))


def _pair(direct: dict[str, ItemColumn]) -> tuple[QuoteSide | None, QuoteSide | None]:
    both = next((column for name, column in direct.items() if name in ("bbo",) and _listed(column)), None)
    if both is not None:
        return _object_level(both, 0), _object_level(both, 1)
    return _named(direct, _BIDS, False), _named(direct, _ASKS, True)


def _named(direct: dict[str, ItemColumn], names: Sequence[str], rising: bool) -> QuoteSide | None:
    for name in names:
        for key, column in direct.items():
            if re.sub("best|highest|lowest|top", "", key) == name and column.present:
                found = _level(column, rising) if _listed(column) else _plain(direct, name, column)
                if found is not None:
                    return found
    return None


def _listed(column: ItemColumn) -> bool:
    return all(isinstance(value, (list, dict)) for value in column.present)


def _plain(direct: dict[str, ItemColumn], name: str, column: ItemColumn) -> QuoteSide | None:
    """A price as a number, and the quantity beside it by its name."""
    if not column.numeric:
        return None
    stem = re.sub("price|px", "", name) if len(name) > 2 else name[0]
    wanted = [stem + size for size in _SIZES] + ([stem.upper()] if len(stem) == 1 else [])
    for key, other in direct.items():
        plain = re.sub("best|highest|lowest|top", "", key) if len(key) > 1 else key
        if plain in wanted and other.numeric:
            return _beside(column, other)
    return QuoteSide(column.expression, None, column.values, 0, said=(column.said, {}))


def _level(column: ItemColumn, rising: bool) -> QuoteSide | None:
    """Levels: `[p, q]`, `{price, size}`, `[[p, q], ...]`, `[{price, size}, ...]`."""
    filled = [value for value in column.present if value]
    if not filled:
        return None
    if isinstance(filled[0], dict):
        return _object(column, filled[0])
    first = filled[0][0]
    if isinstance(first, dict):
        return _objects(column, filled, rising)
    if isinstance(first, list):
        kept = [_kept(value) for value in column.values]
        values = tuple(value[0][0] if value and value[0] else None for value in kept)
        longest = max(len(value) for value in filled)
        head = column.expression
        if kept != list(column.values):  # levels of size 0 are deletions
            head += "[?[1] != '0'] | "
        whole = kept == list(column.values) and _in_order([[one[0] for one in value] for value in filled], rising)
        return QuoteSide(f"{head}[0][0]", f"{head}[0][1]", values, longest, whole and None not in values)
    place = 2 if len(filled[0]) == 3 and isinstance(filled[0][1], int) and isinstance(filled[0][2], str) else 1
    values = tuple(value[0] if value else None for value in column.values)
    return (
        QuoteSide(f"{column.expression}[0]", f"{column.expression}[{place}]", values, 0) if len(filled[0]) > 1 else None
    )


def _in_order(books: Sequence[Sequence[Any]], rising: bool) -> bool:
    """Whether the prices of all books go from the best to the worst."""
    for book in books:
        prices = [number(price) for price in book]
        pairs = pairwise(prices)
        if any(one is None or two is None or (one >= two if rising else one <= two) for one, two in pairs):
            return False
    return True


def _object(column: ItemColumn, first: dict[str, Any]) -> QuoteSide | None:
    """One level as an object."""
    price, size = _keys(first)
    if price is None or any(not isinstance(value, dict) for value in column.present):
        return None
    values = tuple(value.get(price) if value else None for value in column.values)
    head = column.expression
    return QuoteSide(f"{head}.{price}", f"{head}.{size}" if size else None, values, 0)


def _keys(level: dict[str, Any]) -> tuple[str | None, str | None]:
    """The keys of a level's price and size."""
    names = {folded(key): key for key in level}
    price = next((names[name] for name in PRICES if name in names), None)
    return price, next((names[name] for name in _SIZES if name in names and names[name] != price), None)


def _kept(levels: Any) -> Any:
    """Levels without those that an update deletes."""
    return [level for level in levels if level[1:2] != ["0"]] if isinstance(levels, list) else levels


def _objects(column: ItemColumn, filled: list[Any], rising: bool) -> QuoteSide | None:
    price, size = _keys(filled[0][0])
    if price is None:
        return None
    values = tuple(value[0].get(price) if value else None for value in column.values)
    longest = max(len(value) for value in filled)
    books = [[one.get(price) for one in value] for value in filled]
    whole = None not in values and _in_order(books, rising) and not any(
        number(one.get(size)) == 0 for value in filled for one in value
    )
    head = f"{column.expression}[0]"
    return QuoteSide(f"{head}.{price}", f"{head}.{size}" if size else None, values, longest, whole)


def _object_level(column: ItemColumn, place: int) -> QuoteSide | None:
    """One of two objects in a list: bid first, ask second."""
    rows = [value[place] if isinstance(value, list) and place < len(value) else None for value in column.values]
    first = next((row for row in rows if isinstance(row, dict)), None)
    price, size = _keys(first) if first is not None else (None, None)
    if price is None or size is None:
        return None
    head = f"{column.expression}[{place}]"
    return QuoteSide(f"{head}.{price}", f"{head}.{size}", tuple(row.get(price) if row else None for row in rows), 0)


def _positions(pool: Pool, top: bool) -> tuple[QuoteSide | None, QuoteSide | None]:
    """By position: bid, its size, ask, its size; or bid, ask, ... and then both sizes."""
    columns = [one for one in pool.inner if len(one.path) == 1]
    numeric = [one for one in columns if one.numeric and moments.unit(one.present) is None]
    if (not top and (pool.place.kind != "row" or not pool.place.path)) or len(numeric) < 4:
        return None, None
    one, two, three, four = numeric[:4]
    if _near(one, two) and any(column not in numeric for column in columns[:3]):
        return _pairs(one, three, two, four)
    return _pairs(one, two, three, four) if _near(one, three) else (None, None)


def _pairs(bid: ItemColumn, bid_size: ItemColumn, ask: ItemColumn, ask_size: ItemColumn) -> tuple[QuoteSide, QuoteSide]:
    return _beside(bid, bid_size), _beside(ask, ask_size)


def _beside(price: ItemColumn, quantity: ItemColumn) -> QuoteSide:
    return QuoteSide(price.expression, quantity.expression, price.values, 0, said=(price.said, quantity.said))


def _near(bid: ItemColumn, ask: ItemColumn) -> bool:
    """Whether the values of two columns are as close as a bid and an ask."""
    pairs = [(number(low), number(high)) for low, high in zip(bid.values, ask.values, strict=True)]
    return all(low is not None and high is not None and 0 < low <= high <= low * 2 for low, high in pairs)


def _ordered(bid: QuoteSide, ask: QuoteSide) -> bool:
    pairs = [(number(low), number(high)) for low, high in zip(bid.values, ask.values, strict=True)]
    known = [(low, high) for low, high in pairs if low and high]
    return not known or sum(low <= high for low, high in known) * 10 >= len(known) * 9


def _absent(*sides: QuoteSide) -> bool:
    return any(value in (None, "") for side in sides for value in side.values)


def _side(name: str, side: QuoteSide, missing: bool) -> dict[str, Guess]:
    present = sum(value not in (None, "") for value in side.values)
    why = f"{present} of {len(side.values)} frames have it"
    absent = {"absent": 0} if missing else {}
    price = source(side.price, side.said[0], **absent)
    found = {f"{name}_price": Guess(price, why, name in side.price.lower())}
    if side.quantity is None:
        gap = "whether the venue tells it elsewhere"
        found[f"{name}_quantity"] = Guess({"value": 0}, "no size was found", False, gap)
    else:
        quantity = source(side.quantity, side.said[1], **absent)
        found[f"{name}_quantity"] = Guess(quantity, "beside the price", False)
    return found


