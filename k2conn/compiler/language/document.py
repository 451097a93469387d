"""Reads YAML to values with their line and column; the only module that uses pyyaml.

The language is YAML 1.2's core: `true`/`false` are the only booleans, numbers keep their text (a fraction becomes a
Decimal, so `64000.10` loses nothing), and what YAML 1.1 readers would take for something else (`on`, `no`, `012`,
`1:30`, a bare date) is refused rather than read in one of two ways. Anchors, aliases and tags are not supported, so
that an untrusted file cannot expand beyond its own size. Built from parser events, so depth and size are bounded
while reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from k2conn.compiler.language.hidden_characters import hidden_characters
from k2conn.compiler.language.problems import Problem, short

Path = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 60
MAX_VALUES = 20_000
MAX_PROBLEMS = 100
MAX_DIGITS = 400

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,4})?\Z")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TRAP_WORDS = {
    word for base in ("yes", "no", "on", "off") for word in (base, base.capitalize(), base.upper())
} | {"True", "TRUE", "False", "FALSE", "Null", "NULL"}
_TRAPS = (
    (re.compile(r"[-+]?0[0-9_]+\Z"), "an octal number"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+\Z"), "a number in another base"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z"), "a number in base sixty"),
    (re.compile(r"[-+]?[0-9][0-9]*_[0-9_]+\Z"), "a number"),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.|\.(inf|Inf|INF)|\.(nan|NaN|NAN))([eE][-+]?[0-9]+)?\Z"), "a float"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?\Z"), "a date"),
)
_HINTS = (
    ("cannot start any token", "quote a text that starts with this character"),
    ("mapping values are not allowed", "quote a text that holds ': ', and check the indentation"),
    ("did not find expected ',' or '}'", "a text that starts with { is quoted"),
    ("did not find expected ',' or ']'", "a text that starts with [ is quoted"),
    ("did not find expected key", "check the indentation, and quote a text that starts with a quote, { or ["),
    ("did not find expected <document start>", "check the indentation, and quote a text that starts with { or ["),
)


@dataclass(slots=True)
class Document:
    """A connector file: its values, their places, and its problems."""

    file: str
    value: Any = None
    places: dict[Path, tuple[int, int, int | None]] = field(default_factory=dict)
    """Line, column, and for text on one line how many characters its first one stands right of the column."""
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    """What is no problem, and yet worth saying."""
    broken: set[Path] = field(default_factory=set)
    """Paths of values that violate the schema and cannot be compiled."""

    @property
    def full(self) -> bool:
        """Whether the maximum number of problems is reached, so that further ones are left out."""
        return len(self.problems) >= MAX_PROBLEMS

    def place(self, path: Path, at_key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key), of the nearest parent where the value is not written."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        line, column, _ = self.places.get(path, (1, 1, None))
        return line, column

    def problem(self, path: Path, code: str, text: str, at_key: bool = False, offset: int = 0) -> None:
        """Notes one problem at a value's place, at its key, or so many characters into its text."""
        line, column = self.place(path, at_key)
        shift = None if at_key else self.places.get(path, (1, 1, None))[2]
        if offset and shift is not None:
            column += shift + offset
        self.note(line, column, code, text, dotted(path))

    def warn(self, path: Path, code: str, text: str) -> None:
        """Notes something at a value's place that is worth saying, although the file can be used."""
        line, column = self.place(path, False)
        self.warnings.append(Problem(self.file, line, column, code, text, dotted(path), "warning"))

    def note(self, line: int, column: int, code: str, text: str, path: str = "") -> None:
        """Notes one problem at a line and column; beyond MAX_PROBLEMS the rest is left out, and that is said."""
        if any((one.line, one.column, one.code, one.text) == (line, column, code, text) for one in self.problems):
            return  # of a part that is compiled several times
        if len(self.problems) < MAX_PROBLEMS - 1:
            self.problems.append(Problem(self.file, line, column, code, text, path))
        elif len(self.problems) == MAX_PROBLEMS - 1:
            more = f"{MAX_PROBLEMS} problems or more: solve these, then the others are shown"
            self.problems.append(Problem(self.file, line, column, "too-many", more))


def dotted(path: Path) -> str:
    """A path in readable form: ``streams.trade.fields.price``, ``tests[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def read_document(file: str, text: str) -> Document:
    """Reads one YAML text; problems are in the document, never raised."""
    document = Document(file)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        document.note(line, 1, "yaml", "half of a surrogate pair is no character")
        return document
    if size > MAX_BYTES:
        document.note(1, 1, "too-large", f"a connector file has at most {MAX_BYTES} bytes, this one has {size}")
        return document
    for at, words in hidden_characters(text):
        document.note(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), "yaml", words)
        if document.full:
            break
    if document.problems:  # what is read and what is seen differ: nothing more is to be said of it
        return document
    try:
        _Builder(document).build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        _note_error(document, error)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        document.note(line, column, "yaml", "a control character: YAML has none; write it as an escape in \"...\"")
    except yaml.YAMLError as error:
        document.note(1, 1, "yaml", str(error).splitlines()[0])
    return document


def _note_error(document: Document, error: yaml.MarkedYAMLError) -> None:
    mark: Any = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    words = ", ".join(str(part) for part in (error.context, error.problem) if part)
    hint = next((f"; {hint}" for found, hint in _HINTS if found in words), "")
    document.note(line, column, "yaml", words + hint)


class _Refused(yaml.MarkedYAMLError):
    """YAML that the language does not allow, at a point where reading cannot continue."""

    def __init__(self, text: str, mark: Any) -> None:
        super().__init__(None, None, text, mark)


class _Builder:
    """Turns parser events into values, one pass, with a stack no deeper than MAX_DEPTH."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.events: Any = None
        self.values = 0
        self.unplaced = 0
        """Above 0 inside the value of a duplicate key, whose places are not recorded."""

    def build(self, events: Any) -> None:
        """Reads the one document of the events."""
        self.events = events
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._note(event, "yaml", "a connector file holds one document: take '---' out")
                    return
            elif isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            else:
                self.document.value = self._value(event, ())

    def _note(self, event: Any, code: str, text: str) -> None:
        mark = event.start_mark
        self.document.note(mark.line + 1, mark.column + 1, code, text)

    def _value(self, event: Any, path: Path) -> Any:
        mark = event.start_mark
        _refuse_extras(event)
        self.values += 1
        if self.values > MAX_VALUES:
            raise _Refused(f"a connector file has at most {MAX_VALUES} values; write long frames as text", mark)
        if len(path) > MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels", mark)
        if not self.unplaced:
            self.document.places[path] = (mark.line + 1, mark.column + 1, _shift(event))
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
            key = self._key(event)
            place = (*path, key)
            if key == "<<":
                self._note(event, "yaml", "merge keys (<<) are not part of the language: write it out")
                self._passed_over(place)
            elif key in found:
                line = self.document.keys[place][0] if place in self.document.keys else "?"
                text = f"'{short(key)}' stands here twice (first on line {line}): keep one"
                self._note(event, "duplicate-key", text)
                self._passed_over(place)
            else:
                if not self.unplaced:
                    self.document.keys[place] = (event.start_mark.line + 1, event.start_mark.column + 1)
                found[key] = self._value(next(self.events), place)
        return found

    def _key(self, event: Any) -> str:
        _refuse_extras(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise _Refused("a key is text: quote one that starts with [ or {", event.start_mark)
        self._trap(event)
        key: str = event.value
        return key

    def _passed_over(self, path: Path) -> None:
        """Reads a value that is not kept."""
        self.unplaced += 1
        self._value(next(self.events), path)
        self.unplaced -= 1

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
        if not _NUMBER.match(text):
            self._trap(event)
            return text
        if len(text) > MAX_DIGITS:
            return self._too_long(event)
        if _INT.match(text):
            return int(text)
        number = Decimal(text)
        return number if abs(number.adjusted()) < MAX_DIGITS else self._too_long(event)

    def _too_long(self, event: Any) -> Any:
        self._note(event, "yaml", f"a number has at most {MAX_DIGITS} digits, written out: quote a longer one")
        return event.value

    def _trap(self, event: Any) -> None:
        if not event.implicit[0]:
            return
        text = event.value
        meaning = "a truth value" if text in _TRAP_WORDS else None
        for pattern, words in _TRAPS:
            if meaning is None and pattern.match(text):
                meaning = words
        if meaning:
            shown = short(text)
            wanted = f'write "{shown}", or true or false' if meaning == "a truth value" else f'write "{shown}"'
            self._note(event, "yaml-trap", f"some YAML readers take a bare {shown} for {meaning}: {wanted}")


def _refuse_extras(event: Any) -> None:
    mark = event.start_mark
    if isinstance(event, yaml.AliasEvent):
        raise _Refused(f"aliases (*{event.anchor}) are not part of the language: write it out", mark)
    if event.anchor:
        raise _Refused(f"anchors (&{event.anchor}) are not part of the language: write it out", mark)
    if event.tag not in (None, "!"):
        raise _Refused(f"tags ({short(event.tag)}) are not part of the language: leave it out", mark)


def _shift(event: Any) -> int | None:
    """How far right of its column a scalar's text starts, where it stands on one line as it is read."""
    scalar = isinstance(event, yaml.ScalarEvent)
    if not scalar or event.start_mark.line != event.end_mark.line:
        return None
    if event.style in (None, ""):
        return 0
    width: int = event.end_mark.column - event.start_mark.column
    return 1 if width == len(event.value) + 2 else None
