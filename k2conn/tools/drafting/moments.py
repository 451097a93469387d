"""Times: which column, and in which unit. Magnitudes of the years 2009 to 2034 do not overlap between units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from k2conn.tools.drafting.columns import ItemColumn
from k2conn.tools.drafting.guesses import Guess
from k2conn.tools.drafting.leaves import number
from k2conn.tools.drafting.words import folded, rank

NAMES = {
    "microtimestamp": 9, "tradetimestamp": 9, "tradetime": 9, "ttms": 9, "createtimems": 9, "exectime": 9,
    "execdate": 8, "x": 3,
    "createtime": 8, "createdat": 8, "T": 8, "time": 7, "ts": 7, "timestamp": 7, "timestampms": 8, "t": 7, "date": 6,
    "transacttime": 8, "datetime": 7, "timens": 8, "quotetime": 8, "timems": 6, "E": 4, "eventtime": 4, "sendtime": 4,
    "tms": 5, "datatime": 3, "updatetime": 5, "systemtime": 3,
}
_COUNTERS = ("id", "seq", "nonce", "no", "num", "key", "version")
"""Parts of names of numbers that may be as large as times."""
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,12})?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?\Z", re.ASCII)
_FROM, _TO = 1_230_768_000, 2_051_222_400
_SCALES = (("s", 1), ("ms", 1000), ("us", 1_000_000), ("ns", 1_000_000_000))


def unit(values: Sequence[object]) -> str | None:
    """The unit of all of some values; `iso8601`, or `local` where that has no offset; None where they are not times."""
    found = {_unit(value) for value in values}
    if found == {"iso8601", "local"}:
        return "local"
    return found.pop() if len(found) == 1 else None


def _unit(value: object) -> str | None:
    if isinstance(value, str):
        iso = _ISO.match(value)
        if iso:
            return "iso8601" if iso.group(1) else "local"
    size = number(value)
    if size is None:
        return None
    return next((name for name, scale in _SCALES if _FROM * scale <= size < _TO * scale), None)


def best(columns: Sequence[ItemColumn], rows: bool) -> tuple[ItemColumn, str] | None:
    """The column that is most likely the record's own time."""
    scored: list[tuple[tuple[int, ...], ItemColumn, str]] = []
    for place, column in enumerate(columns):
        name = folded(column.name)
        values = [value for value in column.present if value != 0]
        found = unit(values) if values else None
        named = rank(column.name, NAMES)
        counter = any(word in name for word in _COUNTERS)
        told = named or rows or found in ("iso8601", "local") or (found != "s" and not column.outer)
        if found is None or not told or (counter and not named):
            continue
        merit = (len(values) * 2 > len(column.values), not column.outer, named, found != "s", -place)
        scored.append((merit, column, found))
    if not scored:
        return None
    _, column, found = max(scored, key=lambda one: one[0])
    return column, found


def guess(columns: Sequence[ItemColumn], rows: bool = False) -> tuple[Guess, ItemColumn | None]:
    """The record's time; the receipt time where frames have none."""
    found = best(columns, rows)
    if found is None:
        why = "no time in these frames, so the receipt time stands for it"
        return Guess("$received_at", why, False, "whether the venue can be asked to send one"), None
    column, scale = found
    source: dict[str, object] = {"from": column.expression, "unit": "iso8601" if scale == "local" else scale}
    gap = ""
    if scale == "local":
        source["zone"] = "UTC"
        gap = "the zone: these times have no offset"
    if not column.complete or 0 in column.values:
        source["absent"] = "$received_at"
    if scale in ("iso8601", "local"):
        return Guess(source, f"{len(column.present)} of {len(column.values)} are ISO 8601 texts", not gap, gap), column
    sure = rows or bool(rank(column.name, NAMES))
    gap = gap if sure else "that it is the time of the event"
    return Guess(source, f"magnitude says {scale}: the first is {_shown(column.present[0], scale)}", sure, gap), column


def _shown(value: object, scale: str) -> str:
    size = number(value)
    seconds = int(size / dict(_SCALES)[scale]) if size is not None else 0
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
