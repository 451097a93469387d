"""Candles: four prices of which one is the highest and one the lowest, and when their interval begins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import permutations

from k2conn.intervals import Interval
from k2conn.tools.drafting import moments, natives
from k2conn.tools.drafting.columns import ItemColumn, Pool, pools
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.kinds import MessageKind
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.mapping import DraftMapping
from k2conn.tools.drafting.words import CANDLE_WORDS, folded, rank

_PRICES = ("open", "high", "low", "close")
_NAMES = {
    "open": {"open": 9, "o": 8, "openprice": 9, "openingprice": 9},
    "high": {"high": 9, "h": 8, "highprice": 9, "highestprice": 9},
    "low": {"low": 9, "l": 8, "lowprice": 9, "lowestprice": 9},
    "close": {"close": 9, "c": 8, "closeprice": 9, "closingprice": 9},
    "volume": {"volume": 9, "v": 8, "basevolume": 10, "vol": 6, "qty": 5, "quantity": 6},
    "quote_volume": {"quotevolume": 10, "turnover": 9, "q": 7, "quoteassetvolume": 10, "amount": 6},
    "trade_count": {"trades": 9, "n": 8, "count": 8, "tradecount": 10, "numberoftrades": 10, "numtrades": 10},
}
_BEGINS = {"opentime": 9, "starttime": 9, "start": 9, "windowstart": 9, "intervalbegin": 9, "t": 8, "time": 6, "ts": 6,
           "timestamp": 6, "begin": 8, "id": 3}
_CLOSED = frozenset({"x", "confirm", "isclosed", "closed", "final", "isfinal", "w", "complete", "iscomplete"})
_INTERVALS = frozenset({"interval", "i", "period", "granularity", "timeframe"})
_UNITS = {"s": "s", "sec": "s", "m": "m", "min": "m", "h": "h", "hour": "h", "d": "d", "day": "d", "w": "w",
          "week": "w"}
_WORD = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]*?(\d{{1,4}})({'|'.join(_UNITS)})(?![A-Za-z0-9])", re.IGNORECASE)
_TURNED = re.compile(r"(?<![A-Za-z0-9])(sec|min|hour|day|week)(\d{1,4})(?![A-Za-z0-9])", re.IGNORECASE)
_MINUTE_US = 60_000_000
_SCALES = {"s": 1_000_000, "ms": 1000, "us": 1}
_REST = "the venue's other intervals; its name of each is {$interval} in `when`, `topic` and steps"


def find(group: MessageKind, others: Sequence[MessageKind]) -> DraftMapping | None:
    """The candles in a group's messages, where there are any."""
    found = [mapping for pool in pools(group.messages) if (mapping := _fit(pool, group, others)) is not None]
    return max(found, key=lambda one: (one.score, len(one.place.path)), default=None)


def _fit(pool: Pool, group: MessageKind, others: Sequence[MessageKind]) -> DraftMapping | None:
    told = bool(group.words & CANDLE_WORDS)
    named = [one for one in pool.columns if folded(one.name) in _INTERVALS and one.complete]
    if not told and not named:
        return None
    columns = [one for one in pool.inner if len(one.path) == 1]
    begin = _begin(columns, pool.rows)
    if begin is None:
        return None
    prices = _by_position(columns, begin[0]) if pool.rows else _by_name(columns)
    if prices is None:
        return None
    when = {"from": begin[0].expression, "unit": begin[1]}
    fields = {"open_time": Guess(when, "full minutes in every candle", False)}
    fields |= {
        name: Guess(column.source, "between the lowest and the highest in every candle", not pool.rows)
        for name, column in prices.items()
    }
    taken = [begin[0], *prices.values()]
    fields |= _amounts([one for one in columns if one not in taken], pool.rows)
    if "volume" not in fields:
        return None
    symbol = natives.find_symbol(pool, group, others)
    closed = _closed(pool, [one for one in columns if one not in taken])
    options = {"intervals": _intervals(group, named)}
    if closed is not None:
        fields["is_closed"] = closed
    else:
        why = "no column says which state is the last one"
        options["closed"] = Guess("when-next-opens", why, False, "whether the venue tells when a candle is over")
    note = "timestamp: the end of the candle; GAP: whether the venue says when it reported a state"
    count = sum(rank(column.name, _NAMES[name]) for name, column in prices.items())
    return DraftMapping("candle", pool.place, symbol, fields, (group,), 20 * told + count, options, (note,))


def _begin(columns: Sequence[ItemColumn], rows: bool) -> tuple[ItemColumn, str] | None:
    """The column of full minutes that is the earliest, and its unit."""
    found = []
    for column in columns:
        scale = moments.unit(column.present) if column.complete else None
        if scale not in ("iso8601", *_SCALES) or not (rows or rank(column.name, _BEGINS)):
            continue
        if scale == "iso8601":
            whole = all(re.search(r":00(?:[.,]0+)?(?:Z|\+00:00)\Z", str(value)) for value in column.present)
        else:
            whole = all(int(number(value) or 1) * _SCALES[scale] % _MINUTE_US == 0 for value in column.present)
        if whole:
            found.append((str(column.present[0]), column, scale))
    return min(found, key=lambda one: one[0])[1:] if found else None


def _by_name(columns: Sequence[ItemColumn]) -> dict[str, ItemColumn] | None:
    found: dict[str, ItemColumn] = {}
    for name in _PRICES:
        ranked = [(rank(one.name, _NAMES[name]), one) for one in columns if one.numeric and one.complete]
        best = max(ranked, key=lambda one: one[0], default=(0, None))
        if not best[0] or best[1] is None:
            return None
        found[name] = best[1]
    return found if _ordered(found) else None


def _by_position(columns: Sequence[ItemColumn], begin: ItemColumn) -> dict[str, ItemColumn] | None:
    """The first four numbers behind the time, in the usual orders first."""
    numeric = [one for one in columns if one is not begin and one.numeric and one.complete][:4]
    if len(numeric) < 4:
        return None
    usual = [("open", "high", "low", "close"), ("open", "close", "high", "low")]
    for names in [*usual, *permutations(_PRICES)]:
        found = dict(zip(names, numeric, strict=True))
        if _ordered(found):
            return {name: found[name] for name in _PRICES}
    return None


def _ordered(prices: dict[str, ItemColumn]) -> bool:
    for values in zip(*(prices[name].values for name in _PRICES), strict=True):
        first, high, low, last = (number(value) or 0 for value in values)
        if not low <= min(first, last) <= max(first, last) <= high:
            return False
    return True


def _amounts(columns: Sequence[ItemColumn], rows: bool) -> dict[str, Guess]:
    numeric = [one for one in columns if one.numeric and one.complete and moments.unit(one.present) is None]
    if rows:
        gap = "whether this is the base asset's, and what stands behind it"
        return {"volume": Guess(numeric[0].source, "the number behind the prices", False, gap)} if numeric else {}
    found: dict[str, Guess] = {}
    for name in ("volume", "quote_volume", "trade_count"):
        ranked = [(rank(one.name, _NAMES[name]), one) for one in numeric if rank(one.name, _NAMES[name])]
        if ranked:
            column = max(ranked, key=lambda one: one[0])[1]
            found[name] = Guess(column.source, f"{len(column.present)} of {len(column.values)} are numbers", False)
            numeric = [one for one in numeric if one is not column]
    if "volume" not in found and "quote_volume" in found:
        found["volume"] = found.pop("quote_volume")
    return found


def _closed(pool: Pool, columns: Sequence[ItemColumn]) -> Guess | None:
    for column in columns:
        if folded(column.name) in _CLOSED and all(isinstance(value, bool) for value in column.present):
            return Guess(column.expression, "true or false in every candle", False, "that true means over")
    last = columns[-1] if pool.rows and columns else None
    if last is not None and set(map(str, last.values)) <= {"0", "1"}:
        source = {"from": last.expression, "map": {"1": True, "0": False}}
        return Guess(source, "0 or 1 at the end of every candle", False, "that 1 means over")
    return None


def _intervals(group: MessageKind, named: Sequence[ItemColumn]) -> Guess:
    """What the candles' interval is called, and by which of our names."""
    for column in named:
        for value in {str(one): one for one in column.present}.values():
            ours = _ours(f"{value}" if re.search("[A-Za-z]", str(value)) else f"{value}m")
            if ours:
                return Guess({ours: value}, f"{column.expression} says so", False, _REST)
    for text in _texts(group):
        for found in (*_WORD.finditer(text), *_TURNED.finditer(text)):
            ours = _ours(found.group())
            if ours:
                return Guess({ours: _spelled(found)}, f"as in {text}", False, _REST)
    return Guess({"1m": "1m"}, "nothing says it", False, f"how long these candles are; {_REST}")


def _texts(group: MessageKind) -> Iterator[str]:
    return (text for _, text in group.texts)


def _spelled(found: re.Match[str]) -> str:
    """The venue's name: the digits and the unit, without a word in front of them."""
    return found.group() if _TURNED.fullmatch(found.group()) else found.group(1) + found.group(2)


def _ours(text: str) -> str | None:
    found, turned = _WORD.search(text), _TURNED.search(text)
    if found is None and turned is None:
        return None
    count, unit = (found.group(1), found.group(2)) if found is not None else (turned[2], turned[1])  # type: ignore[index]
    name = f"{int(count)}{_UNITS[unit.lower()]}"
    try:
        return Interval(name).name
    except ValueError:
        return None
