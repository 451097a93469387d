"""What a connector's next process must know of this one: each symbol's latest number and holes, and the latest ids.

Pure: plain JSON values in and out. What is read back is checked whole before any of it is taken in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.identity.record_content import KNOWN_NOT
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.plan import Plan

VERSION = 1
_CONTENT = re.compile("(?:[0-9a-f]{2}){14,15}")
LONGEST = 1024
"""Characters of a symbol or an id."""
MOST_SYMBOLS = 200_000
"""Symbols of one stream."""
MOST_IDS = 100_000
"""Ids of one stream."""
LARGEST = 2**63 - 1
"""The largest number that records hold."""
LATEST_US = 253_402_300_799_999_999
"""The end of the year 9999, as times are microseconds since 1970."""
IDS = 5_000
"""Ids kept of each stream's duplicate window, the latest ones."""


def kept(connector_state: ConnectorState) -> dict[str, Any]:
    """What of a connector's state is kept, as it stands."""
    return {
        "version": VERSION,
        "connector": connector_state.plan.name,
        "exchange": connector_state.plan.exchange,
        "streams": {name: _readable(_stream(mapping)) for name, mapping in connector_state.mappings.items()},
    }


def _stream(mapping: StreamMapping) -> dict[str, Any]:
    latest = mapping.window.tail(IDS)
    return {
        "numbers": mapping.gaps.state() if mapping.gaps is not None else {},
        "times": mapping.suspected_gaps.last if mapping.suspected_gaps is not None else {},
        "ids": list(latest),
        "contents": [content.hex() for content in latest.values()],
    }


def _readable(said: dict[str, Any]) -> dict[str, Any]:
    """Without what would not be read back: what a venue says may be out of any range."""
    numbers = {
        key: {
            "last": one["last"],
            "event_us": one["event_us"] if _time(one["event_us"]) else 0,
            "holes": [hole for hole in one["holes"] if _hole(hole)],
        }
        for key, one in said["numbers"].items()
        if _name(key) and _number(one["last"])
    }
    times = {key: one for key, one in said["times"].items() if _name(key) and _time(one)}
    return {**said, "numbers": numbers, "times": times}


def resume(connector_state: ConnectorState, state: Any, now_us: int) -> None:
    """Takes in what an earlier process kept; ValueError, and nothing taken in, where it is not this connector's."""
    streams = checked(connector_state.plan, state)
    for name, said in streams.items():
        mapping = connector_state.mappings.get(name)
        if mapping is None:
            continue
        mapping.window.resume(zip(said["ids"], map(bytes.fromhex, _contents(said)), strict=True))
        if mapping.suspected_gaps is not None:
            mapping.suspected_gaps.resume(said["times"])
        if mapping.gaps is not None:
            numbers = said["numbers"]
            mapping.gaps.resume(
                {key: one["last"] for key, one in numbers.items()},
                {key: one["event_us"] for key, one in numbers.items()},
            )
            for key, one in numbers.items():
                mapping.gaps.reopen(key, one["holes"], now_us)


def joined(plan: Plan, states: Sequence[Any]) -> dict[str, Any]:
    """One state of several, which were kept side by side for symbols of their own; what a later one says goes before.
    ValueError where one is not this connector's.
    """
    streams: dict[str, Any] = {}
    for state in states:
        for name, said in checked(plan, state).items():
            known = streams.setdefault(name, {"numbers": {}, "times": {}, "ids": [], "contents": []})
            known["numbers"].update(said["numbers"])
            known["times"].update(said["times"])
            ids = dict(zip(said["ids"], _contents(said), strict=True))
            ids = {**dict(zip(known["ids"], known["contents"], strict=True)), **ids}
            known["ids"], known["contents"] = list(ids), list(ids.values())
    return {"version": VERSION, "connector": plan.name, "exchange": plan.exchange, "streams": streams}


def part(state: Mapping[str, Any], symbols: Collection[str], others: Collection[str], first: bool) -> dict[str, Any]:
    """Of a joined state what the process needs that carries some symbols, by their record names, while ``others`` are
    carried elsewhere. Of what nobody claims it has the numbers, and the ``first`` process the holes.
    """
    def own(key: str) -> bool:
        return key in symbols or key not in others

    def number(key: str, one: dict[str, Any]) -> dict[str, Any]:
        return one if first or key in symbols else {**one, "holes": []}

    streams = {
        name: {
            "numbers": {key: number(key, one) for key, one in said["numbers"].items() if own(key)},
            "times": {key: one for key, one in said["times"].items() if own(key)},
            "ids": said["ids"],
            "contents": _contents(said),
        }
        for name, said in state["streams"].items()
    }
    return {**state, "streams": streams}


def checked(plan: Plan, state: Any) -> dict[str, Any]:
    """The streams of a state that was read back; ValueError where it is not this connector's, or has another form."""
    try:
        whose = (state["version"], state["connector"], state["exchange"])
        if whose != (VERSION, plan.name, plan.exchange):
            said = ", ".join(str(one)[:40] if type(one) in (str, int) else type(one).__name__ for one in whose)
            raise ValueError(f"it is not this connector's (version, connector, exchange: {said})")
        streams: dict[str, Any] = state["streams"]
        for said in streams.values():
            _check(type(said["ids"]) is list and len(said["ids"]) <= MOST_IDS and all(map(_name, said["ids"])))
            contents = _contents(said)
            _check(type(contents) is list and len(contents) == len(said["ids"]))
            _check(all(map(is_content, contents)))
            for table in (said["numbers"], said["times"]):
                _check(type(table) is dict and len(table) <= MOST_SYMBOLS and all(map(_name, table)))
            _check(all(map(_time, said["times"].values())))
            for one in said["numbers"].values():
                _check(_number(one["last"]) and _time(one["event_us"]) and type(one["holes"]) is list)
                _check(all(_hole(hole) and hole[1] <= one["last"] for hole in one["holes"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it has not the right form ({type(error).__name__})") from None
    return streams


def _contents(said: Mapping[str, Any]) -> Any:
    """What the records of a stream's ids say, in hexadecimal digits; an older process kept the ids alone."""
    return said.get("contents", [KNOWN_NOT.hex()] * len(said["ids"]))


def is_content(value: Any) -> bool:
    """Whether it is what a record says, in short, in hexadecimal digits."""
    return type(value) is str and _CONTENT.fullmatch(value) is not None


def _check(right: bool) -> None:
    if not right:
        raise ValueError("it has not the right form")


def _name(value: Any) -> bool:
    return type(value) is str and len(value) <= LONGEST


def _hole(value: Any) -> bool:
    if type(value) is not list or len(value) != 4:
        return False
    return all(map(_number, value[:2])) and value[0] <= value[1] and all(map(_time, value[2:]))


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LATEST_US
