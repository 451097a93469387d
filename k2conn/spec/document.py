"""A YAML text as values with places: the one door to pyyaml.

The language is YAML 1.2's core: `true`/`false` are the only booleans, numbers keep their text (a fraction becomes a
Decimal, so `64000.10` loses nothing), and what YAML 1.1 readers would take for something else (`on`, `no`, `012`,
`1:30`, a bare date) is refused rather than read in one of two ways. Anchors, aliases and tags are not part of it: a
file from a stranger cannot grow beyond its own size. Built from parser events, so depth and size are bounded while
reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from k2conn.spec.problems import Problem

Path = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 60

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,4})?\Z")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TRAP_WORDS = {
    word
    for base in ("yes", "no", "on", "off")
    for word in (base, base.capitalize(), base.upper())
} | {"True", "TRUE", "False", "FALSE", "Null", "NULL"}
_TRAPS = (
    (re.compile(r"[-+]?0[0-9_]+\Z"), "an octal number"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+\Z"), "a number in another base"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z"), "a number in base sixty"),
    (re.compile(r"[-+]?[0-9][0-9]*_[0-9_]+\Z"), "a number"),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.|\.(inf|Inf|INF)|\.(nan|NaN|NAN))([eE][-+]?[0-9]+)?\Z"), "a float"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?\Z"), "a date"),
)


@dataclass(slots=True)
class Document:
    """One connector file's values, where each stands, and what is wrong with its YAML."""

    file: str
    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, at_key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key), of the nearest parent where the value is not written."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def problem(self, path: Path, code: str, text: str, at_key: bool = False) -> None:
        """Notes one problem at a value's place (or its key's)."""
        line, column = self.place(path, at_key)
        self.problems.append(Problem(self.file, line, column, code, text, dotted(path)))


def dotted(path: Path) -> str:
    """A path as people write it: ``streams.trade.fields.price``, ``tests[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read_document(file: str, text: str) -> Document:
    """Reads one YAML text; problems are in the document, never raised."""
    document = Document(file)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        document.problems.append(Problem(file, 1, 1, "too-large", f"a connector file has at most {MAX_BYTES} bytes"))
        return document
    try:
        _Builder(document).build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        words = " ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(Problem(file, line, column, "yaml", words))
    except yaml.YAMLError as error:
        document.problems.append(Problem(file, 1, 1, "yaml", str(error).splitlines()[0]))
    return document


class _Refused(yaml.MarkedYAMLError):
    """Something YAML allows and the language does not, where reading cannot go on."""


class _Builder:
    """Turns parser events into values, one pass, with a stack no deeper than MAX_DEPTH."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.events: Any = None

    def build(self, events: Any) -> None:
        self.events = events
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._note(event, "yaml", "a connector file holds one document")
                    return
            elif isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            else:
                self.document.value = self._value(event, ())

    def _note(self, event: Any, code: str, text: str) -> None:
        mark = event.start_mark
        self.document.problems.append(Problem(self.document.file, mark.line + 1, mark.column + 1, code, text))

    def _value(self, event: Any, path: Path) -> Any:
        mark = event.start_mark
        self.document.places[path] = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(None, None, "aliases (*name) are not part of the language: write it out", mark)
        if getattr(event, "anchor", None):
            raise _Refused(None, None, "anchors (&name) are not part of the language: write it out", mark)
        if event.tag not in (None, "!"):
            raise _Refused(None, None, f"tags ({event.tag}) are not part of the language", mark)
        if len(path) > MAX_DEPTH:
            raise _Refused(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._scalar(event)

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise _Refused(None, None, "a key must be plain text", event.start_mark)
            if getattr(event, "anchor", None):
                raise _Refused(None, None, "anchors (&name) are not part of the language: write it out", event.start_mark)
            key = event.value
            self._trap(event)
            if key == "<<":
                self._note(event, "yaml", "merge keys (<<) are not part of the language: write it out")
            duplicate = key in found
            if duplicate:
                line = self.document.keys[(*path, key)][0]
                self._note(event, "duplicate-key", f"'{key}' stands here twice (first on line {line})")
            else:
                self.document.keys[(*path, key)] = (event.start_mark.line + 1, event.start_mark.column + 1)
            kept = dict(self.document.places) if duplicate else None
            value = self._value(next(self.events), (*path, key))
            if kept is None:
                found[key] = value
            else:
                self.document.places = kept
        return found

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, (*path, len(found))))
        return found

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return int(text)
        if _NUMBER.match(text):
            return Decimal(text)
        self._trap(event)
        return text

    def _trap(self, event: Any) -> None:
        if not event.implicit[0]:
            return
        text = event.value
        meaning = "a truth value" if text in _TRAP_WORDS else None
        for pattern, words in _TRAPS:
            if meaning is None and pattern.match(text):
                meaning = words
        if meaning:
            self._note(event, "yaml-trap", f"some YAML readers take a bare {text} for {meaning}: write \"{text}\"")
