"""Reads ``tests:``: dialogues that `k2conn test` runs and the mock exchange learns from."""

from __future__ import annotations

from typing import Any

from k2conn.compiler.converters.times import times
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.plan import ConnectorTest, DialogueTurn, Json, SymbolRule

_RECEIVED_AT = 1_767_323_045_000_000
"""2026-01-02T03:04:05Z: when examples that do not say it are received."""
_KINDS = ("answered", "url", "after", "sent", "received", "closed")
"""In one turn, the venue answers over HTTP first, and time passes before anything is said."""
_OUTCOMES = ("records", "dead_letters")


class ExampleReader:
    """Reads the tests of one connector file. ``streams`` are the declared ones."""

    def __init__(self, note: CompileContext, streams: tuple[str, ...], symbols: SymbolRule | None) -> None:
        self.note = note
        self.streams = streams
        self.symbols = symbols
        self.sockets: tuple[str, ...] = ()
        self.audited = self.lists = False

    def examples(self, spec: dict[str, Any]) -> tuple[ConnectorTest, ...]:
        """All examples of sound shape."""
        self.sockets = tuple(said["name"] for said, _ in self.note.entries(spec, "connections", ()) if "name" in said)
        streams = spec.get("streams")
        said_of = streams.values() if isinstance(streams, dict) else ()
        self.lists = isinstance(spec.get("symbols"), dict) and "list" in spec["symbols"]
        self.audited = any("audit" in said for said in said_of if isinstance(said, dict))
        found = [self._example(said, path) for said, path in self.note.entries(spec, "tests", ())]
        return tuple(example for example in found if example)

    def _example(self, said: dict[str, Any], path: Path) -> ConnectorTest | None:
        if ("dialogue" in said) == ("received" in said) and not ("list" in said and "dialogue" not in said):
            self.note(path, "value", "a test has either a `dialogue` or one `received` frame")
            return None
        for at, name in enumerate(said.get("streams", ())):
            if name not in self.streams:
                text = f"'{short(name)}' is no stream of this connector{known(name, self.streams)}"
                self.note((*path, "streams", at), "unknown-stream", text)
        for at, name in enumerate(said.get("symbols", ())):
            if self.symbols is not None and self.symbols.resolve(name) is None:
                text = f"no rule in `symbols` reads '{short(name)}'"
                self.note((*path, "symbols", at), "unknown-symbol", text)
        return ConnectorTest(
            name=said["name"],
            line=self.note.document.place(path)[0],
            dialogue=self._turns(said, path),
            symbols=tuple(said.get("symbols", self.symbols.default if self.symbols else ())),
            streams=tuple(said["streams"]) if "streams" in said else None,
            received_at=self._moment(said, path),
            file=said.get("file"),
            verdicts=self._verdicts(said, path),
            listed=self._listed(said, path),
            instruments=tuple(said["instruments"]) if "instruments" in said else None,
            environment=self._environment(said.get("env", {}), (*path, "env")),
        )

    def _listed(self, said: dict[str, Any], path: Path) -> tuple[Json, ...]:
        """What the test shows of the venue's list."""
        if "instruments" in said and "list" not in said:
            text = "`instruments` are what a list says: say `list` beside it"
            self.note((*path, "instruments"), "missing", text, at_key=True)
        if "list" in said and not self.lists:
            self.note((*path, "list"), "missing", "`symbols` has no `list` that this could be of", at_key=True)
        if "list" not in said or self.symbols is None or self.symbols.list is None:
            return ()
        line = self.note.document.place(path)[0]
        return next((one.answers for one in self.symbols.list.shown if one.line == line), ())

    def _environment(self, said: dict[str, str], path: Path) -> dict[str, str]:
        """What `$env` variables are in a test."""
        read = sorted(self.note.variables)
        for name in said:
            if name not in read:
                text = f"the file reads no environment variable '{short(name)}'{known(name, read)}"
                self.note((*path, name), "value", text, at_key=True)
        return {name: name for name in read} | said

    def _verdicts(self, said: dict[str, Any], path: Path) -> tuple[dict[str, Any], ...] | None:
        if "verdicts" not in said:
            return None
        if not self.audited:
            self.note((*path, "verdicts"), "missing", "no stream of this connector says `audit`", at_key=True)
        return tuple(said["verdicts"])

    def _moment(self, said: dict[str, Any], path: Path) -> int:
        if "received_at" not in said:
            return _RECEIVED_AT
        try:
            return times("iso8601")(said["received_at"])
        except RecordError as error:
            self.note((*path, "received_at"), "value", f"{error.detail}: write it as 2026-01-02T03:04:05Z")
            return _RECEIVED_AT

    def _turns(self, said: dict[str, Any], path: Path) -> tuple[DialogueTurn, ...]:
        turns: list[DialogueTurn] = []
        entries = [(one, (*path, "dialogue", at)) for at, one in enumerate(said.get("dialogue", ()))]
        if not entries and ("received" in said or "list" not in said):
            entries = [(said, path)]
        for one, place in entries:
            kinds = [kind for kind in _KINDS if kind in one]
            if not kinds:
                self.note(place, "value", f"a turn says at least one of {', '.join(_KINDS)}")
            for key in _OUTCOMES:
                if key in one and "received" not in one:
                    text = f"`{key}` come of a frame: say `received` beside it"
                    self.note((*place, key), "missing", text, at_key=True)
            if "socket" in one and one["socket"] not in self.sockets:
                names = known(one["socket"], self.sockets)
                text = f"'{short(one['socket'])}' is no connection of this connector{names}"
                self.note((*place, "socket"), "value", text)
            turns.extend(self._turn(kind, one, place) for kind in kinds)
        return tuple(turns)

    def _turn(self, kind: str, one: dict[str, Any], place: Path) -> DialogueTurn:
        value = duration(one[kind]) if kind == "after" else one[kind]
        records, dead = [tuple(one[key]) if kind == "received" and key in one else None for key in _OUTCOMES]
        return DialogueTurn(kind, value, self.note.document.place((*place, kind))[0], records, dead, one.get("socket"))
