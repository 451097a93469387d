"""Streams with ``intervals:`` are written once and are one stream for each interval.

Before anything is compiled, the file is rewritten as if its author had written each of them: a stream ``candle`` with
the intervals 1m and 5m becomes ``candle_1m`` and ``candle_5m``, with the venue's own name of the interval for every
``$interval`` in it. A step, or a capture, with ``$interval`` becomes one for each interval, too, and whoever names the
stream ``candle`` (``for``, ``streams``) names them all; a test names the first. Every part keeps the place of what was
written, so problems point there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.compiler.language.document import Document, Path

PLACE = "$interval"
_LISTS = ("steps", "capture")
MOST_VALUES = 100_000
"""Values that a file has once it is rewritten; a file as it is written has at most 20,000."""
Key = str | int


def named(stream: str, interval: str) -> str:
    """The name of a stream's stream of one interval."""
    return f"{stream}_{interval}"


class OfInterval(NamedTuple):
    """What a stream was made of: the stream as it is written, and one of its intervals."""

    stream: str
    interval: str
    venue: Any
    """The venue's name of the interval."""


def expand_intervals(document: Document) -> dict[str, OfInterval]:
    """Rewrites the document; of the streams that it then has those that were made here. What is wrong is noted."""
    spec = document.value
    intervals = {name: one["intervals"] for name, one in _declared(document) if "intervals" in one}
    if not intervals:
        for key in ("streams", "connection", "connections"):
            _unexpected(document, spec.get(key), (key,))
        return {}
    if _rewritten(spec, intervals) > MOST_VALUES:
        text = f"with all of its intervals the file has over {MOST_VALUES} values: name fewer"
        document.problem(("streams", next(iter(intervals)), "intervals"), "too-large", text, at_key=True)
        others = {name: one for name, one in spec["streams"].items() if name not in intervals}
        document.value = {**spec, "streams": others}
        return {}
    variants = {name: [named(name, one) for one in those] for name, those in intervals.items()}
    streams = spec["streams"]
    for name, those in variants.items():
        for one in those:
            if one in streams:
                text = f"'{name}' has a stream '{one}' for one of its intervals: give this one another name"
                document.problem(("streams", one), "value", text, at_key=True)
    document.value = {**spec, "streams": _streams(document, streams, intervals)}
    for path in _connections(spec):
        _rewrite_names(document, path, "streams", variants)
        for key in _LISTS:
            _expand_list(document, (*path, key), intervals, variants)
    tests = document.value.get("tests")
    for at, _ in enumerate(tests if isinstance(tests, list) else ()):
        _rewrite_names(document, ("tests", at), "streams", {name: those[:1] for name, those in variants.items()})
    return {
        named(name, one): OfInterval(name, one, venue)
        for name, those in intervals.items() for one, venue in those.items()
    }


def _rewritten(spec: Mapping[str, Any], intervals: Mapping[str, Mapping[str, Any]]) -> int:
    """How many values the parts with intervals will have, at most."""
    most = max(map(len, intervals.values()))
    count = sum(_size(spec["streams"][name]) * len(those) for name, those in intervals.items())
    for path in _connections(spec):
        connection: Any = spec
        for part in path:
            connection = connection[part]
        for key in _LISTS:
            listed = connection.get(key)
            count += most * sum(_size(one) for one in listed if _uses(one)) if isinstance(listed, list) else 0
    return count


def _size(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inside))


def _declared(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """The streams whose intervals can be read."""
    streams = document.value.get("streams")
    for name, one in streams.items() if isinstance(streams, dict) else ():
        broken = any(path[:3] == ("streams", name, "intervals") for path in document.broken)
        if isinstance(one, dict) and not broken and ("streams", name) not in document.broken:
            yield name, one


def _connections(spec: Mapping[str, Any]) -> list[Path]:
    """Where the connections stand."""
    several = spec.get("connections")
    found: list[Path] = [("connection",)] if isinstance(spec.get("connection"), dict) else []
    listed = several if isinstance(several, list) else []
    return found + [("connections", at) for at, one in enumerate(listed) if isinstance(one, dict)]


def _unexpected(document: Document, value: Any, path: Path) -> None:
    """Notes every ``$interval`` where no stream has intervals."""
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            _unexpected(document, one, (*path, key))
    elif isinstance(value, str) and _inside(value):
        text = f"{PLACE} has a meaning only in a stream with `intervals`"
        document.problem(path, "unknown-placeholder", text)


# -- streams


def _streams(
    document: Document, streams: Mapping[str, Any], intervals: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """All streams, those with intervals one for each of them."""
    found: dict[str, Any] = {}
    copies: list[tuple[Key, Key]] = []
    for name, said in streams.items():
        if name not in intervals:
            _unexpected(document, said, ("streams", name))
        for at, (interval, venue) in enumerate(intervals.get(name, {}).items()):
            one = {key: filled(value, venue) for key, value in said.items() if key != "intervals"}
            one["record"] = said.get("record", name)
            if at:
                one["default"] = False  # the first one is what runs where none is named
            found[named(name, interval)] = one
            copies.append((named(name, interval), name))
        if name not in intervals:
            found[name] = said
            copies.append((name, name))
    _moved(document, ("streams",), copies)
    return found


def filled(value: Any, venue: Any) -> Any:
    """A value with the venue's name for every ``$interval``; as a whole value that name keeps its type."""
    if isinstance(value, dict):
        return {str(filled(key, venue)): filled(one, venue) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, venue) for one in value]
    if value == PLACE:
        return venue
    return value.replace(f"{{{PLACE}}}", exactjson.spell(venue)) if isinstance(value, str) else value


def _uses(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_uses(key) or _uses(one) for key, one in value.items())
    if isinstance(value, list):
        return any(_uses(one) for one in value)
    return isinstance(value, str) and _inside(value)


def _inside(text: str) -> bool:
    return text == PLACE or f"{{{PLACE}}}" in text


# -- what names streams


def _at(document: Document, path: Path) -> Any:
    found = document.value
    for key in path:
        found = found[key]
    return found


def _rewrite_names(document: Document, path: Path, key: str, variants: Mapping[str, Sequence[str]]) -> None:
    """A list of streams (or the one) under a key: those with intervals as their streams."""
    said = _at(document, path)
    if isinstance(said, dict) and key in said:
        names = [said[key]] if isinstance(said[key], str) else said[key]
        if isinstance(names, list) and any(name in variants for name in names if isinstance(name, str)):
            said[key] = _all_of(names, variants)


def _all_of(names: Sequence[Any], variants: Mapping[str, Sequence[str]]) -> list[Any]:
    return [one for name in names for one in (variants.get(name, [name]) if isinstance(name, str) else [name])]


def _expand_list(
    document: Document, path: Path, intervals: Mapping[str, Mapping[str, Any]], variants: Mapping[str, Sequence[str]]
) -> None:
    """The entries of a list: one with ``$interval`` becomes one for each interval."""
    parent, key = _at(document, path[:-1]), path[-1]
    if not isinstance(parent.get(key), list):
        return
    found: list[Any] = []
    copies: list[tuple[Key, Key]] = []
    for at, said in enumerate(parent[key]):
        if not isinstance(said, dict) or not _uses(said):
            found.append({**said, "for": _all_of(_names(said), variants)} if _named(said, variants) else said)
            copies.append((len(found) - 1, at))
            continue
        stream = _stream_of(document, said, (*path, at), intervals)
        for interval, venue in intervals[stream].items() if stream is not None else ():
            one = filled(said, venue)
            found.append({**one, "for": [named(stream, interval)]} if "for" in said and stream else one)
            copies.append((len(found) - 1, at))
    parent[key] = found
    _moved(document, path, copies)


def _names(said: Mapping[str, Any]) -> list[Any]:
    names = said.get("for", [])
    return names if isinstance(names, list) else [names]


def _named(said: Any, variants: Mapping[str, Sequence[str]]) -> bool:
    return isinstance(said, dict) and any(name in variants for name in _names(said) if isinstance(name, str))


def _stream_of(
    document: Document, said: Mapping[str, Any], path: Path, intervals: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Whose intervals an entry has: those of the one stream it is `for`, or of the file's only one that has any."""
    names = [name for name in _names(said) if isinstance(name, str)] or list(intervals)
    if len(names) == 1 and names[0] in intervals:
        return names[0]
    text = f"{PLACE} needs one stream with `intervals`: say `for:` that stream alone"
    document.problem(path, "unknown-placeholder", text)
    return None


# -- places


def _moved(document: Document, parent: Path, copies: Sequence[tuple[Key, Key]]) -> None:
    """Gives what stands now under ``parent`` the places of what it was made of: pairs of a new key and the old one."""
    size = len(parent)
    tables: tuple[dict[Path, Any], ...] = (document.places, document.keys)
    for table in tables:
        old: dict[Key, list[tuple[Path, Any]]] = {}
        for path in [path for path in table if path[:size] == parent and len(path) > size]:
            old.setdefault(path[size], []).append((path[size + 1 :], table.pop(path)))
        for new, was in copies:
            table.update({(*parent, new, *rest): place for rest, place in old.get(was, ())})
    broken = {path for path in document.broken if path[:size] == parent and len(path) > size}
    document.broken -= broken
    document.broken |= {
        (*parent, new, *path[size + 1 :]) for path in broken for new, was in copies if path[size] == was
    }
