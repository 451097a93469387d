"""Compiles ``symbols.list``: the call for a venue's own instrument list, and what its entries say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from pathlib import Path as FilePath
from typing import Any

from k2conn import exactjson
from k2conn.codecs.bodies import body_reader
from k2conn.compiler.converters.listed_values import ListedValue, moment, named, number, places, plain, step
from k2conn.compiler.converters.patterns import PLACE, text_parts, text_pattern
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.addresses import http_request
from k2conn.compiler.sections.codecs import CodecCompiler
from k2conn.compiler.sections.conditions import compile_match
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.plan import (
    FrameEncoding,
    Getter,
    HttpRequest,
    Instrument,
    InstrumentList,
    Json,
    ListedInstrument,
    ListPages,
    Match,
    ShownList,
)
from k2conn.scope import Scope

NAMED = ("base", "quote")
FURTHER = ("underlying", "expiry", "strike", "option_right", "multiplier")
"""Parts that have a word of their own."""
_STEPS: tuple[str, ...] = ("tick", "lot")
_NUMBERS = ("strike", "multiplier", *_STEPS)
_DESCRIBED = (*_STEPS, "status")
_LONGEST_STATUS = 60
_MOST_PAGES = 20
"""Pages of a list that does not say how many it may have."""
_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")

_Read = Callable[[Json, Scope], str]


def list_parts(said: Any) -> tuple[str, ...]:
    """The further parts that a list gives symbols, as far as it can be read."""
    if not isinstance(said, dict):
        return ()
    split, parts = said.get("split"), said.get("parts")
    pattern = split.get("pattern") if isinstance(split, dict) else None
    names = [name for name in FURTHER if name in said]
    names += PLACE.findall(pattern) if isinstance(pattern, str) else []
    names += [name for name in parts if isinstance(name, str)] if isinstance(parts, dict) else []
    return tuple(name for name in dict.fromkeys(names) if name not in (*NAMED, "_"))


def list_names(said: Any) -> frozenset[str]:
    """Which of base and quote a list gives."""
    if not isinstance(said, dict):
        return frozenset()
    split = said.get("split")
    pattern = split.get("pattern") if isinstance(split, dict) else None
    found = {*said, *(PLACE.findall(pattern) if isinstance(pattern, str) else ())}
    return frozenset(found & set(NAMED))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is read of one entry."""

    symbol: _Read
    said: Mapping[str, _Read]
    split: tuple[Getter, Callable[[str], dict[str, str] | None]] | None
    when: Match | None
    steps: Mapping[str, _Read]
    status: Getter | None
    trading: frozenset[str]

    def read(self, row: Json, scope: Scope) -> ListedInstrument | None:
        """See `InstrumentList.read`."""
        if self.when is not None and not self.when.condition(row, scope):
            return None
        native = self.symbol(row, scope)
        if not native:
            return None
        said = self._split(row, scope)
        said |= {name: text for name, read in self.said.items() if (text := read(row, scope))}
        return ListedInstrument(native, said, self._facts(row, scope))

    def _split(self, row: Json, scope: Scope) -> dict[str, str]:
        if self.split is None:
            return {}
        get, cut = self.split
        value = get(row, scope)
        found = cut(value) if type(value) is str else None
        return {name: text for name, text in (found or {}).items() if text}

    def _facts(self, row: Json, scope: Scope) -> Instrument:
        status = self.status(row, scope) if self.status is not None else None
        said = "" if status is None else exactjson.excerpt(status, _LONGEST_STATUS)
        tick, lot = (self._step(name, row, scope) for name in _STEPS)
        return Instrument(tick, lot, said, said in self.trading if said else None)

    def _step(self, name: str, row: Json, scope: Scope) -> Decimal | None:
        read = self.steps.get(name)
        return step(read(row, scope)) if read is not None else None


class ListCompiler:
    """Compiles the list of one connector; ``folder`` is where files beside it lie."""

    def __init__(self, note: CompileContext, folder: FilePath) -> None:
        self.note = note
        self.folder = folder

    def listing(self, said: dict[str, Any], path: Path) -> InstrumentList | None:
        """The list; None after noting what is wrong with it."""
        if self._incomplete(said, path):
            return None
        entry = self._entry(said, path)
        each = self.note.expression(said["each"], (*path, "each"), lenient=True)
        requests = self._requests(said, path)
        every = self.note.positive(said["refresh"], (*path, "refresh")) if "refresh" in said else None
        encoding = CodecCompiler(self.note, self.folder).of_body(said.get("codec"), (*path, "codec"))
        pages = self._pages(said["pages"], (*path, "pages")) if "pages" in said else None
        if requests is None or entry is None or each is None or ("pages" in said and pages is None):
            return None
        words = [*(name for name in NAMED if name in list_names(said)), *list_parts(said)]
        words += [name for name in _DESCRIBED if name in said]
        return InstrumentList(
            requests, each.get, entry.read, tuple(words), bool(entry.said) or entry.split is not None, every,
            encoding, pages, _keys(said["each"]), said.get("evidence", ""),
        )

    def _requests(self, said: dict[str, Any], path: Path) -> tuple[HttpRequest, ...] | None:
        """The calls; what is sent beside the address is the same in all. None after noting what is wrong with one."""
        if isinstance(said["http"], str):
            one = http_request(said, path, self.note)
            return None if one is None else (one,)
        first, *others = (
            http_request({**(said if not at else {}), "http": text}, path, self.note, place=(*path, "http", at))
            for at, text in enumerate(said["http"])
        )
        if first is None or None in others:
            return None
        rest = (one for one in others if one is not None)
        return (first, *(replace(first, method=one.method, url=one.url, url_text=one.url_text) for one in rest))

    # -- what an entry says

    def _entry(self, said: dict[str, Any], path: Path) -> _Entry | None:
        values = {name: self._value(said[name], (*path, name), name) for name in
                  ("symbol", *NAMED, *FURTHER, *_STEPS) if name in said}
        further = {name: self._value(one, (*path, "parts", name), name) for name, one in said.get("parts", {}).items()}
        status = self.note.expression(said["status"], (*path, "status"), lenient=True) if "status" in said else None
        when = compile_match(said["when"], (*path, "when"), self.note) if "when" in said else None
        split = self._split(said["split"], (*path, "split")) if "split" in said else None
        wrong = ("split" in said and split is None) or ("when" in said and when is None)
        found = {name: read for name, read in {**values, **further}.items() if read is not None}
        if wrong or len(found) < len(values) + len(further) or ("status" in said and status is None):
            return None
        steps: dict[str, _Read] = {name: found.pop(name) for name in _STEPS if name in values}
        trading = frozenset(map(str, said.get("trading", ())))
        return _Entry(found.pop("symbol"), found, split, when, steps, status.get if status else None, trading)

    def _value(self, value: Any, path: Path, name: str) -> _Read | None:
        """One value of an entry; None after noting what is wrong with it."""
        said: dict[str, Any] = value if isinstance(value, dict) else {"from": value}
        if ("from" in said) == ("places" in said):
            self.note(path, "value", "say `from`, where the value is, or `places`, where the number of decimals is")
            return None
        key = "from" if "from" in said else "places"
        found = self.note.expression(said[key], (*path, key) if isinstance(value, dict) else path, lenient=True)
        convert = self._conversion(said, path, name)
        if found is None or convert is None:
            return None
        get = found.get
        if "pattern" not in said:
            return lambda row, scope: convert(get(row, scope))
        try:
            cut = text_pattern(said["pattern"], "value")
        except ValueError as error:
            self.note((*path, "pattern"), "value", str(error))
            return None

        def read(row: Json, scope: Scope) -> str:
            text = get(row, scope)
            return convert(cut(text)) if type(text) is str else ""

        return read

    def _conversion(self, said: dict[str, Any], path: Path, name: str) -> ListedValue | None:
        kinds = [word for word in ("places", "unit", "map") if word in said]
        if len(kinds) > 1:
            self.note(path, "value", f"say one of {' and '.join(f'`{kind}`' for kind in kinds)}")
            return None
        if "zone" in said and said.get("unit") != "iso8601":
            self.note((*path, "zone"), "value", "a zone is for `unit: iso8601`", at_key=True)
            return None
        if "places" in said:
            return places
        if "unit" in said:
            return moment(said["unit"], said.get("zone"))
        if "map" in said:
            return named({key: str(one) for key, one in said["map"].items()})
        return number if name in _NUMBERS else plain

    def _split(
        self, said: dict[str, Any], path: Path
    ) -> tuple[Getter, Callable[[str], dict[str, str] | None]] | None:
        found = self.note.expression(said["from"], (*path, "from"), lenient=True)
        try:
            cut = text_parts(said["pattern"])
        except ValueError as error:
            self.note((*path, "pattern"), "value", str(error))
            return None
        return None if found is None else (found.get, cut)

    def _incomplete(self, said: dict[str, Any], path: Path) -> bool:
        """Whether words are missing that belong to others; each is noted."""
        problems: list[tuple[Path, str]] = []
        if len(list_names(said)) == 1:
            problems.append((path, "`base` and `quote` belong together: what a name means takes both"))
        if not list_names(said) and not list_parts(said) and not set(said) & set(_DESCRIBED):
            problems.append((path, "say `base` and `quote`, or what it tells of instruments: `tick`, `lot`, `status`"))
        if ("status" in said) != ("trading" in said):
            problems.append((path, "`status` and `trading`, the words of it in which an instrument trades, belong"
                                   " together"))
        taken = [("native", "record", "lower", "upper", "currency"), (*NAMED, *FURTHER)]
        for name in said.get("parts", {}):
            if name in taken[0] or name in taken[1]:
                text = "has a word of its own" if name in taken[1] else "is something that every symbol has"
                problems.append(((*path, "parts", name), f"'{short(name)}' {text}"))
        split = PLACE.findall(said["split"]["pattern"]) if "split" in said else ()
        for name in {*split} & {*taken[0]}:
            problems.append(((*path, "split", "pattern"), f"'{name}' is something that every symbol has"))
        for place, text in problems:
            self.note(place, "missing" if place == path else "value", text)
        return bool(problems)

    # -- pages

    def _pages(self, said: dict[str, Any], path: Path) -> ListPages | None:
        if ("next" in said) == ("number" in said):
            text = "say `next`, where an answer names the next page, or `number`, the parameter that counts pages"
            self.note(path, "value", text)
            return None
        if "number" in said:
            if "query" in said:
                self.note((*path, "query"), "value", "`number` is the parameter: leave `query` out", at_key=True)
                return None
            return ListPages(said.get("most", _MOST_PAGES), None, said["number"], said.get("first", 1))
        if "first" in said:
            self.note((*path, "first"), "value", "`first` is for pages with a `number`", at_key=True)
            return None
        found = self.note.expression(said["next"], (*path, "next"), lenient=True)
        return None if found is None else ListPages(said.get("most", _MOST_PAGES), found.get, said.get("query", ""))


def _keys(each: str) -> tuple[str, ...] | None:
    if each == "@":
        return ()
    return tuple(each.split(".")) if _PLAIN_PATH.match(each) else None


class ShownLists:
    """Reads what the tests of a file show of the list."""

    def __init__(self, note: CompileContext, listing: InstrumentList) -> None:
        self.note = note
        self.listing = listing

    def lists(self, spec: dict[str, Any]) -> tuple[ShownList, ...]:
        """What each test shows, of those that show anything."""
        found = [self._list(said["list"], path) for said, path in self.note.entries(spec, "tests", ())
                 if "list" in said]
        return tuple(one for one in found if one is not None)

    def _list(self, said: dict[str, Any], test: Path) -> ShownList | None:
        line, path = self.note.document.place(test)[0], (*test, "list")
        if ("rows" in said) == ("answers" in said):
            self.note(path, "value", "say the list's entries as `rows`, or what the venue answers as `answers`")
            return None
        if "rows" in said:
            if self.listing.each_path is None:
                text = "`each` is more than a path, so nothing says where entries stand: give the whole `answers`"
                self.note((*path, "rows"), "value", text, at_key=True)
                return None
            return ShownList(line, (reduce(lambda inner, key: {key: inner}, reversed(self.listing.each_path),
                                           said["rows"]),))
        calls = len(self.listing.requests)
        if self.listing.pages is None and len(said["answers"]) not in (1, calls):
            text = "there is one answer" if calls == 1 else f"its {calls} calls have {calls} answers"
            self.note((*path, "answers"), "value", f"the list says no `pages`, so {text}", at_key=True)
            return None
        answers = [self._answer(one, (*path, "answers", at)) for at, one in enumerate(said["answers"])]
        return ShownList(line, tuple(answers)) if None not in answers else None

    def _answer(self, value: Json, path: Path) -> Json:
        """An answer: JSON as it stands, or a body as text, which is read as the venue's would be."""
        if type(value) is not str:
            found = value
        else:
            try:
                found = body_reader(unpacked(self.listing.encoding))(value.encode())
            except RecordError as error:
                self.note(path, "value", f"the answer cannot be read: {error.detail}")
                return None
        if self.listing.entries(found) is None:
            self.note(path, "value", "the answer has no list where `each` says")
            return None
        return found


def unpacked(encoding: FrameEncoding) -> FrameEncoding:
    """The same without packings: how a body is read that stands in a test."""
    return FrameEncoding((), encoding.binary[-1:], encoding.limit, encoding.settings)


def shown_instruments(listing: InstrumentList) -> Iterator[ListedInstrument]:
    """What the tests of a file show of single instruments."""
    for one in listing.shown:
        for answer in one.answers:
            yield from (found for found in listing.instruments(answer) if found is not None)
