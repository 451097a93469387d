"""A connector's open gaps as plain values, and back: with their place in the books, so that the next process goes on
where this one was, and reports nothing twice.

Each is ``first``, ``last``, ``count``, ``since_us``, ``from_us``, ``to_us``, ``cause``, ``reported`` (null where it
waits for its grace), ``recovered``, ``fill`` (whether it waits to be filled) and ``ranges``: what is missing, where
that is known number by number. A gap that an audit found is none of them: the next audit finds it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import BackfillStatus, GapCause
from k2conn.engine.gaps.sequence_state import HOLES
from k2conn.engine.persisted_state import LARGEST, LATEST_US

MOST = 512
"""Gaps of a symbol."""


class OpenGaps:
    """The open gaps of a connector as they stand."""

    def __init__(self, connector_state: ConnectorState) -> None:
        self._mappings = connector_state.mappings
        self._by_key: dict[tuple[str, str], dict[int, Gap]] = defaultdict(dict)
        filling = [*connector_state.pending_backfills.waiting(), *connector_state.gaps.to_fill]
        self._filling = {id(gap) for gap in filling}
        self._take(filling)
        for mapping in connector_state.mappings.values():
            if mapping.gaps is not None:
                self._take(mapping.gaps.open_gaps())
            if mapping.suspected_gaps is not None:
                self._take(mapping.suspected_gaps.open_gaps())

    def _take(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            if gap.open and gap.cause != GapCause.AUDIT:
                self._by_key[gap.stream, gap.key][id(gap)] = gap

    def of(self, stream: str, key: str) -> list[dict[str, Any]]:
        """Those of one symbol, oldest first."""
        found = self._by_key.get((stream, key))
        if not found:
            return []
        gaps = sorted(found.values(), key=lambda gap: (gap.since_us, gap.first or 0))
        return [self._plain(gap) for gap in gaps[-MOST:] if _kept(gap)]

    def _plain(self, gap: Gap) -> dict[str, Any]:
        tracker = self._mappings[gap.stream].gaps
        ranges = tracker.missing(gap) if tracker is not None and gap.first is not None else []
        return {
            "first": gap.first, "last": gap.last, "count": gap.count, "since_us": gap.since_us,
            "from_us": gap.from_us, "to_us": gap.to_us, "cause": gap.cause.value, "reported": gap.reported,
            "recovered": gap.recovered, "fill": id(gap) in self._filling, "ranges": [list(one) for one in ranges],
        }


def _kept(gap: Gap) -> bool:
    """Whether it would be read back: what a venue says may be out of any range."""
    numbers = (gap.first, gap.last, gap.count, gap.reported, gap.recovered)
    return all(map(_number_or_none, numbers)) and all(map(_time, (gap.since_us, gap.from_us, gap.to_us)))


def checked_gaps(value: Any) -> None:
    """ValueError where these are no gaps of a symbol; KeyError or TypeError where they have quite another form."""
    right = type(value) is list and len(value) <= MOST
    for one in value if right else ():
        GapCause(one["cause"])
        numbers = [one[name] for name in ("first", "last", "count", "reported")]
        right = right and all(map(_number_or_none, numbers)) and _number(one["recovered"])
        right = right and all(_time(one[name]) for name in ("since_us", "from_us", "to_us"))
        right = right and (one["first"] is None) == (one["last"] is None) and type(one["fill"]) is bool
        right = right and type(one["ranges"]) is list and len(one["ranges"]) <= HOLES
        right = right and all(_range(pair, one) for pair in one["ranges"])
    if not right:
        raise ValueError("its gaps have not the right form")


def _range(pair: Any, one: dict[str, Any]) -> bool:
    if type(pair) is not list or len(pair) != 2 or not all(map(_number, pair)) or one["first"] is None:
        return False
    return bool(one["first"] <= pair[0] <= pair[1] <= one["last"])


def resume_gaps(state: ConnectorState, stream: str, key: str, gaps: list[dict[str, Any]], now_us: int) -> None:
    """Takes in the gaps of one symbol, which are checked."""
    for gap, ranges, fill in _gaps(stream, key, gaps):
        mapping = state.mappings[stream]
        if mapping.gaps is not None and (gap.first is not None or gap.cause == GapCause.RESET):
            if not mapping.gaps.take_in(gap, ranges):
                continue
        elif mapping.suspected_gaps is not None and gap.reported is None:
            mapping.suspected_gaps.take_in(gap)
        if gap.reported is not None:
            # Failed ones, too: a process that stops gives up what waits.
            failed = gap.first is not None and gap.cause != GapCause.RESET
            state.gaps.take_in(gap, fill or failed)


def _gaps(stream: str, key: str, gaps: list[dict[str, Any]]) -> Iterator[tuple[Gap, list[tuple[int, int]], bool]]:
    for one in gaps:
        ranges = [(first, last) for first, last in one["ranges"]]
        missing = sum(last - first + 1 for first, last in ranges) if one["count"] is not None else None
        gap = Gap(
            stream, key, one["first"], one["last"], one["since_us"], GapCause(one["cause"]), one["count"], missing,
            one["reported"], one["from_us"], one["to_us"], one["recovered"], BackfillStatus.NONE,
        )
        yield gap, ranges, one["fill"]


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _number_or_none(value: Any) -> bool:
    return value is None or _number(value)


def _time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LATEST_US
