"""What a connector's next process must know, in parts that are written one by one: for a topic that keeps the latest
value of each key.

A part is a key (a list of texts and numbers) and a value (plain JSON). Of every border between two transactions only
what has changed since the last one is written, so that what a border costs follows from what came, not from what is
known::

    ["connector", connector]               {"v": 1, "exchange": ...}
    ["symbol", connector, stream, symbol]  {"v": 1, "last": ..., "event_us": ..., "time": ..., "gaps": [...]}
    ["ids", connector, stream, n]          {"v": 1, "number": ..., "ids": [...], "contents": [...]}

``last`` is the symbol's latest number (null where the stream has no numbers that count) and ``event_us`` its record's
time; ``time`` is the latest event time where only times tell what is missing. ``gaps`` are those still open, also those
that wait for their grace or to be filled, with the ranges that are missing (`gap_parts`). The ids of a stream's
duplicate window go in pages of what came since the last border; ``number`` grows by one a page, and n is its remainder
by `PAGES`, so that old pages are replaced. A page of fewer than `LEAST_IDS` is written again with what came behind it.

Pure: plain JSON values in and out. What is read back is checked before any of it is taken in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gap_parts import OpenGaps, checked_gaps, resume_gaps
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.persisted_state import LARGEST, LATEST_US, LONGEST, MOST_SYMBOLS, is_content
from k2conn.plan import Plan

VERSION = 1
PAGES = 128
"""Pages of ids of a stream."""
LEAST_IDS = 64
"""A page with fewer is written again with more."""
MOST_IDS = 1000
"""Ids of one page."""
KEPT_IDS = 20_000
"""Ids of a stream that the next process takes in, the latest ones."""

Key = list[Any]
Value = dict[str, Any]
_Mark = tuple[dict[str, bytes], int]


class StateParts:
    """One connector's parts: which of them have changed since they were last asked for.

    To be made once the state of an earlier process was taken in; ``pages`` is the number of the next page of each
    stream, as `taken_in` gives it.
    """

    def __init__(self, connector_state: ConnectorState, pages: Mapping[str, int] | None = None) -> None:
        self.connector_state = connector_state
        self._named = False
        self._symbols: dict[str, dict[str, Value]] = {}
        """By stream: what was last said of each symbol."""
        self._pages = {
            name: _Pages(["ids", connector_state.plan.name, name], mapping.window, (pages or {}).get(name, 0))
            for name, mapping in connector_state.mappings.items()
        }

    def follow(self, connector_state: ConnectorState) -> None:
        """From now on it is about this state, which goes on with that of before."""
        self.connector_state = connector_state

    def changes(self) -> list[tuple[Key, Value]]:
        """The parts that are new or other than before; they count as written from now on."""
        state = self.connector_state
        found: list[tuple[Key, Value]] = []
        if not self._named:
            self._named = True
            found.append((["connector", state.plan.name], {"v": VERSION, "exchange": state.plan.exchange}))
        gaps = OpenGaps(state)
        for name, mapping in state.mappings.items():
            found += self._changed_symbols(name, mapping, gaps)
            pages = self._pages.get(name)
            if pages is None:
                pages = self._pages[name] = _Pages(["ids", state.plan.name, name], None, 0)
            found += pages.changes(mapping.window)
        return found

    def _changed_symbols(self, name: str, mapping: StreamMapping, gaps: OpenGaps) -> Iterable[tuple[Key, Value]]:
        before = self._symbols.setdefault(name, {})
        numbers = mapping.gaps.latest() if mapping.gaps is not None else {}
        times = mapping.suspected_gaps.last if mapping.suspected_gaps is not None else {}
        for symbol in numbers.keys() | times.keys():
            if len(symbol) > LONGEST:
                continue
            last, event_us = numbers.get(symbol, (None, 0))
            value = {
                "v": VERSION, "last": last, "event_us": event_us if _time(event_us) else 0,
                "time": times.get(symbol, 0) if _time(times.get(symbol, 0)) else 0, "gaps": gaps.of(name, symbol),
            }
            if before.get(symbol) != value:
                before[symbol] = value
                yield ["symbol", self.connector_state.plan.name, name, symbol], value


class _Pages:
    """The pages of one stream's ids. What is in the window when it is made is not written."""

    def __init__(self, key: Key, window: DedupWindow | None, number: int) -> None:
        self._key = key
        self._number = number
        self._page: dict[str, bytes] = {}
        self._mark: _Mark = ({}, 0) if window is None else (window.young, len(window.young))

    def changes(self, window: DedupWindow) -> Iterable[tuple[Key, Value]]:
        new = _since(window, self._mark)
        self._mark = (window.young, len(window.young))
        while new:
            if len(self._page) >= LEAST_IDS:
                self._number, self._page = min(self._number + 1, LARGEST), {}
            room = MOST_IDS - len(self._page)
            self._page.update(new[:room])
            del new[:room]
            yield [*self._key, self._number % PAGES], {
                "v": VERSION, "number": self._number, "ids": list(self._page),
                "contents": [content.hex() for content in self._page.values()],
            }


def _since(window: DedupWindow, mark: _Mark) -> list[tuple[str, bytes]]:
    """The ids that came since the young generation was this one and had so many; all where it is forgotten."""
    young, size = mark
    if window.young is young:
        return _tail(young, size)
    if window.old is young:
        return [*_tail(young, size), *window.young.items()]
    return [*window.old.items(), *window.young.items()]


def _tail(table: dict[str, bytes], size: int) -> list[tuple[str, bytes]]:
    return list(islice(reversed(table.items()), len(table) - size))[::-1]


def connector_of(key: Any) -> str | None:
    """Whose part a key is; None for a key of another kind."""
    named = type(key) is list and len(key) >= 2 and key[0] in ("connector", "symbol", "ids")
    return key[1] if named and type(key[1]) is str else None


def taken_in(connector_state: ConnectorState, parts: Iterable[tuple[Key, Any]], now_us: int) -> dict[str, int]:
    """Takes in what an earlier process wrote of this connector; the number of the next page of each stream. ValueError,
    and nothing taken in, where something of it cannot be read.
    """
    read = _Parts(connector_state.plan)
    for key, value in parts:
        read.add(key, value)
    for name, mapping in connector_state.mappings.items():
        pages = sorted(read.pages.get(name, {}).items())
        ids = [pair for _, page in pages for pair in page]
        mapping.window.resume(ids[-KEPT_IDS:])
        symbols = read.symbols.get(name, {})
        if mapping.suspected_gaps is not None:
            mapping.suspected_gaps.resume({key: one["time"] for key, one in symbols.items() if one["time"]})
        if mapping.gaps is not None:
            counted = {key: one for key, one in symbols.items() if one["last"] is not None}
            mapping.gaps.resume(
                {key: one["last"] for key, one in counted.items()},
                {key: one["event_us"] for key, one in counted.items()},
            )
        for symbol, one in symbols.items():
            resume_gaps(connector_state, name, symbol, one["gaps"], now_us)
    return {name: min(max(pages) + 1, LARGEST) for name, pages in read.pages.items()}


class _Parts:
    """What was read back of one connector."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.symbols: dict[str, dict[str, Value]] = {}
        self.pages: dict[str, dict[int, list[tuple[str, bytes]]]] = {}

    def add(self, key: Key, value: Any) -> None:
        """Checks one part and keeps it; ValueError where it is not right."""
        try:
            if value["v"] != VERSION:
                raise ValueError(f"it has version {value['v']!r:.20}, and this k2conn reads {VERSION}")
            kind = key[0]
            if kind == "connector":
                self._check_exchange(value["exchange"])
            elif kind == "symbol":
                _, _, stream, symbol = key
                _check(type(stream) is str and type(symbol) is str and len(symbol) <= LONGEST)
                known = self.symbols.setdefault(stream, {})
                known[symbol] = _symbol(value)
                _check(len(known) <= MOST_SYMBOLS)
            else:
                _, _, stream, _ = key
                _check(type(stream) is str)
                number, page = _page(value)
                self.pages.setdefault(stream, {})[number] = page
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it has not the right form ({type(error).__name__})") from None

    def _check_exchange(self, exchange: Any) -> None:
        if exchange != self._plan.exchange:
            raise ValueError(f"it is of the exchange {exchange!r:.60}, and the connector's is {self._plan.exchange}")


def _symbol(value: Value) -> Value:
    last = value["last"]
    _check(last is None or _number(last))
    _check(_time(value["event_us"]) and _time(value["time"]))
    checked_gaps(value["gaps"])
    return value


def _page(value: Value) -> tuple[int, list[tuple[str, bytes]]]:
    number, ids, contents = value["number"], value["ids"], value["contents"]
    _check(_number(number) and type(ids) is list and type(contents) is list and len(ids) == len(contents) <= MOST_IDS)
    _check(all(type(one) is str and len(one) <= LONGEST for one in ids) and all(map(is_content, contents)))
    return number, list(zip(ids, map(bytes.fromhex, contents), strict=True))


def _check(right: bool) -> None:
    if not right:
        raise ValueError("it has not the right form")


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LATEST_US
