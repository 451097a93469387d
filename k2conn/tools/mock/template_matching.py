"""Templates in reverse: from a rendered frame to the values it was rendered with.

A template is rendered twice with markers instead of values, once for one symbol and once for two. A marker becomes a
placeholder, a list or comma-joined text that grew becomes a repetition, and everything else must be equal. Matching a
client's frame against the shape gives the values back. Markers are private-use characters around ``Aa``, whose letters
reveal a change of case; numbers are recognised by their value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2conn.errors import K2Error
from k2conn.plan import Json, SendScope, Symbol, Template

COUNTER = 7_700_000_000_000_000_001
NOW_US = 6_666_666_777_777_888_999
_NUMBERS = {
    COUNTER: "counter",
    NOW_US: "now",
    NOW_US // 1000: "now",
    NOW_US // 1_000_000: "now",
}
_COUNT = "\ue102"
_MARK = re.compile("([\ue000-\ue0ff])(Aa|aa|AA)([\ue100-\ue101])|" + "|".join([*map(str, _NUMBERS), _COUNT]))
_CASES = {"Aa": "", "aa": ".lower", "AA": ".upper"}
_FIRST, _OTHER = "\ue100", "\ue101"
_FURTHER = re.compile(f",[\ue000-\ue0ff](?:Aa|aa|AA){_OTHER}")
"""A second symbol or topic in a list within text."""
_FIXED = ("native", "record", "base", "quote", "topic", "uuid", "state", "env")

CaptureRow = dict[str, Json]
"""What one repetition captured: ``native``, ``base.lower``, ``topic``, ``counter``..."""


@dataclass(slots=True)
class MatchCapture:
    """What a match captured: ``common`` once for the frame, ``rows`` one for each symbol or topic in a list."""

    common: CaptureRow = field(default_factory=dict)
    rows: list[CaptureRow] = field(default_factory=list)

    def put(self, name: str, value: Json) -> bool:
        """Stores a value; False where the same placeholder captured another one."""
        known = self.common.setdefault(name, value)
        return name not in ("native", "topic", "counter") or bool(known == value)


class FrameShape:
    """A rendered template with placeholders."""

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Whether a value has this shape; captured values are added to ``found``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ConstantShape(FrameShape):
    """A value that must be equal."""

    value: Json

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Equality, where true is not 1."""
        return type(value) is type(self.value) and bool(value == self.value)


@dataclass(frozen=True, slots=True)
class Placeholder(FrameShape):
    """Any value."""

    name: str

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Matches always, unless the same placeholder captured something else."""
        return found.put(self.name, value)


@dataclass(frozen=True, slots=True)
class TextShape(FrameShape):
    """Text with placeholders in it, of which those ``joined`` hold comma-separated lists."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]
    joined: frozenset[str]

    def match(self, value: Json, found: MatchCapture) -> bool:
        """By regular expression, shortest match first."""
        matched = self.pattern.fullmatch(value) if isinstance(value, str) else None
        if matched is None:
            return False
        texts = dict(zip(self.names, matched.groups(), strict=True))
        lists = {name: text.split(",") for name, text in texts.items() if name in self.joined}
        if lists:
            found.rows.extend(dict(zip(lists, row, strict=False)) for row in zip(*lists.values(), strict=False))
        return all(found.put(name, text) for name, text in texts.items() if name not in self.joined)


@dataclass(frozen=True, slots=True)
class ObjectShape(FrameShape):
    """An object with exactly these keys."""

    members: Mapping[str, FrameShape]

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Key by key."""
        if not isinstance(value, dict) or value.keys() != self.members.keys():
            return False
        return all(shape.match(value[key], found) for key, shape in self.members.items())


@dataclass(frozen=True, slots=True)
class ArrayShape(FrameShape):
    """A list of exactly this length."""

    items: tuple[FrameShape, ...]

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Item by item."""
        if not isinstance(value, list) or len(value) != len(self.items):
            return False
        return all(shape.match(one, found) for shape, one in zip(self.items, value, strict=True))


@dataclass(frozen=True, slots=True)
class RepeatShape(FrameShape):
    """A list with one entry for each symbol or topic."""

    item: FrameShape

    def match(self, value: Json, found: MatchCapture) -> bool:
        """Each entry is a row."""
        if not isinstance(value, list):
            return False
        for one in value:
            row = MatchCapture()
            if not self.item.match(one, row):
                return False
            found.rows.append(row.common)
        return True


class _Anything(dict[str, str]):
    """An environment that has every variable."""

    def get(self, key: str, default: Any = None) -> Any:
        return _mark(_FIXED.index("env"), _FIRST)

    def __missing__(self, key: str) -> str:
        return str(self.get(key))


class ShapeMaker:
    """Makes the shapes of a connector's templates.

    ``parts`` are the names of its symbols' further parts, ``states`` of what it captures.
    """

    def __init__(self, parts: tuple[str, ...], states: tuple[str, ...]) -> None:
        self._names = (*_FIXED, *parts)
        self._state: dict[str, Json] = {name: _mark(_FIXED.index("state"), _FIRST) for name in states}
        self._parts = parts

    def shape(
        self, template: Template, message: Json = None, state: Mapping[str, Json] | None = None
    ) -> FrameShape | None:
        """The shape of what a template renders to; None where it cannot be rendered with marks."""
        scope = SendScope(
            counter=lambda: COUNTER,
            uuid=lambda: _mark(_FIXED.index("uuid"), _FIRST),
            now_us=NOW_US,
            state={**self._state, **(state or {})},
            environment=_Anything(),
            message=message,
            sign=lambda _: _mark(_FIXED.index("env"), _FIRST),
        )
        one, other = self._symbol(_FIRST), self._symbol(_OTHER)
        topics = tuple(_mark(_FIXED.index("topic"), which) for which in (_FIRST, _OTHER))
        try:
            single = template(scope._replace(symbols=(one,), topics=topics[:1]))
            double = template(scope._replace(symbols=(one, other), topics=topics))
        except K2Error:
            return None
        return self._shape(single, double)

    def _symbol(self, which: str) -> Symbol:
        texts = [_mark(at, which) for at in range(len(self._names))]
        further = tuple(zip(self._parts, texts[len(_FIXED) :], strict=True))
        return Symbol(texts[0], texts[1], texts[2], texts[3], further)

    def _shape(self, single: Json, double: Json) -> FrameShape:
        if isinstance(single, dict) and isinstance(double, dict):
            return ObjectShape({key: self._shape(value, double.get(key)) for key, value in single.items()})
        if isinstance(single, list) and isinstance(double, list):
            if len(single) == 1 and len(double) == 2:
                return RepeatShape(self._shape(single[0], double[0]))
            return ArrayShape(tuple(self._shape(one, two) for one, two in zip(single, double, strict=False)))
        if isinstance(single, str):
            return self._text(single, str(double))
        if isinstance(single, int) and single in _NUMBERS:
            return Placeholder(_NUMBERS[single])
        if type(single) is int and (single, double) == (1, 2):
            return Placeholder("count")
        return ConstantShape(single)

    def _text(self, text: str, longer: str) -> FrameShape:
        """The shape of a text, of which ``longer`` is what it is for two symbols: a placeholder that stands there for
        the second, too, is a list.
        """
        joined = frozenset(self._name(place) for place in _MARK.finditer(longer) if place.group(3) == _OTHER)
        text = _with_marked_counts(text, longer)
        source, at = "", 0
        names: list[str] = []
        for place in _MARK.finditer(text):
            name = self._name(place)
            last_list = name in joined and joined.isdisjoint(map(self._name, _MARK.finditer(text, place.end())))
            source += re.escape(text[at : place.start()]) + ("(.+)" if last_list else "(.+?)")
            names.append(name)
            at = place.end()
        if not names:
            return ConstantShape(text)
        source += re.escape(text[at:])
        if source == "(.+?)" and not joined:
            return Placeholder(names[0])
        return TextShape(re.compile(source, re.DOTALL), tuple(names), joined)

    def _name(self, place: re.Match[str]) -> str:
        if place.group() == _COUNT:
            return "count"
        if place.group(1) is None:
            return _NUMBERS[int(place.group())]
        return self._names[ord(place.group(1)) - 0xE000] + _CASES[place.group(2)]


def _with_marked_counts(text: str, longer: str) -> str:
    """A text with a mark for each number of symbols or topics: it is 1 where the text for two has 2."""
    same = _FURTHER.sub("", longer)
    if len(same) != len(text):
        return text
    return "".join(_COUNT if (one, other) == ("1", "2") else one for one, other in zip(text, same, strict=True))


def _mark(kind: int, which: str) -> str:
    return f"{chr(0xE000 + kind)}Aa{which}"


def fits(row: CaptureRow, symbol: Symbol) -> bool:
    """Whether a row's captures are this symbol's parts."""
    texts = {**symbol._asdict(), **dict(symbol.parts)}
    found = False
    for name, value in row.items():
        part, _, case = name.partition(".")
        if part not in texts or part == "parts":
            continue
        own = texts[part]
        if value != (getattr(own, case)() if case else own):
            return False
        found = True
    return found

