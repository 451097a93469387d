"""Compiles a connector file to a plan, or to the list of all its problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from k2conn.compiler.language.document import MAX_BYTES, Document, Path, dotted, read_document
from k2conn.compiler.language.problems import Problem
from k2conn.compiler.language.shape import check_shape
from k2conn.compiler.sections.asked_symbols import with_asked_symbols
from k2conn.compiler.sections.backfills import BackfillCompiler
from k2conn.compiler.sections.connections import ConnectionCompiler
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.instruments import SymbolCompiler, form_parts
from k2conn.compiler.sections.intervals import OfInterval, expand_intervals
from k2conn.compiler.sections.oversights import warn_of_oversights
from k2conn.compiler.sections.streams import StreamCompiler
from k2conn.compiler.sections.tables import TableCompiler
from k2conn.compiler.sections.taken_messages import taken
from k2conn.compiler.sections.tests import ExampleReader
from k2conn.errors import SpecError
from k2conn.plan import Connection, Plan, PlanVariable, Stream
from k2conn.schemes import BUILT_IN, Secure
from k2conn.variables import Readable

_OWN_ONLY = Readable()
_NAMED = ("connector", "exchange", "asset_class", "docs")


def load_plan(path: FilePath, secure: Secure = BUILT_IN.get, readable: Readable = _OWN_ONLY) -> Plan:
    """The plan of one connector file; raises SpecError with all problems. ``secure`` knows the schemes that its
    connections may have, ``readable`` the environment variables that it may read.
    """
    plan, problems = check_file(path, secure, readable)
    if plan is None or problems:
        raise SpecError(problems)
    return plan


def check_file(
    path: FilePath, secure: Secure = BUILT_IN.get, readable: Readable = _OWN_ONLY
) -> tuple[Plan | None, list[Problem]]:
    """Reads and checks one file: a plan and no problems, or problems and no plan."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:
            text = data.decode("utf-8", "replace")
            return check_text(str(path), text, path.parent, secure, readable)
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return None, [Problem(str(path), line, column, "yaml", "not UTF-8 text: save the file as UTF-8")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return None, [Problem(str(path), 1, 1, "unreadable", f"cannot be read: {reason}")]
    return check_text(str(path), text, path.parent, secure, readable)


def check_text(
    file: str, text: str, folder: FilePath, secure: Secure = BUILT_IN.get, readable: Readable = _OWN_ONLY
) -> tuple[Plan | None, list[Problem]]:
    """The same for a text; ``folder`` is where files beside it are looked for."""
    document = read_document(file, text)
    if document.value is not None or not document.problems:
        check_shape(document)
    plan = None
    if isinstance(document.value, dict) and not document.full:
        plan = _Compiler(document, folder, secure, readable, expand_intervals(document)).compile()
    problems = sorted(set(document.problems))
    return (None if problems else plan), problems


class _Compiler:
    """Compiles all parts that match the schema, so that semantic problems are reported together with schema violations.
    """

    def __init__(
        self, document: Document, folder: FilePath, secure: Secure, readable: Readable,
        of_interval: Mapping[str, OfInterval],
    ) -> None:
        self.document = document
        self.of_interval = of_interval
        self.folder = folder
        self.spec: dict[str, Any] = document.value
        self.note = CompileContext(document, form_parts(self.spec), secure, self._refusal)
        self._readable = readable

    def compile(self) -> Plan | None:
        """The plan; None where a part of it cannot be made."""
        note, spec = self.note, self.spec
        self._check_name()
        if self.note.reachable(("tables",)):
            note.tables = TableCompiler(note, self.folder).tables(spec.get("tables", {}))
        symbols = SymbolCompiler(note, spec, self.folder).rule() if self._sound("symbols") else None
        streams = tuple(self._streams()) if self._sound("exchange") and self._sound("asset_class") else ()
        connections = tuple(self._connections())
        names = tuple(self._declared())
        examples = ExampleReader(note, names, symbols).examples(spec) if "tests" in spec else ()
        if symbols is None or not all(self._sound(name) for name in _NAMED):
            return None
        asset_class = spec["asset_class"]
        plan = Plan(
            name=spec["connector"],
            exchange=spec["exchange"],
            asset_class=asset_class,
            market=spec.get("market", "spot" if asset_class == "crypto" else asset_class),
            docs=spec["docs"],
            path=self.document.file,
            symbols=with_asked_symbols(symbols, spec["symbols"], note),
            connections=connections,
            streams=streams,
            tests=examples,
            evidence=spec.get("evidence", ""),
            variables=self._variables(),
        )
        if not self.document.problems:
            self._warn_of_taken_messages(connections)
            warn_of_oversights(spec, plan, self.note.warn)
        return replace(plan, warnings=tuple(map(str, sorted(set(self.document.warnings)))))

    def _warn_of_taken_messages(self, connections: Iterable[Connection]) -> None:
        """Streams that would have no records: what they recognise is something else."""
        for connection in connections:
            for name, text in taken(connection, self.spec["streams"]):
                self.note.warn(("streams", name, "when"), "value", text)

    def _refusal(self, variable: str) -> str:
        """Why the file may not read an environment variable. Where its name is not usable, that is the problem."""
        return self._readable.refusal(variable, self.spec["connector"]) if self._sound("connector") else ""

    def _variables(self) -> tuple[PlanVariable, ...]:
        found = self.note.variables
        return tuple(PlanVariable(name, tuple(dict.fromkeys(map(dotted, found[name])))) for name in sorted(found))

    def _sound(self, name: str) -> bool:
        return name in self.spec and self.note.sound((name,))

    def _check_name(self) -> None:
        stem = FilePath(self.document.file).stem
        if self._sound("connector") and self.spec["connector"] != stem and self.document.file.endswith(".yaml"):
            text = f"the file is named '{stem}.yaml': name the connector '{stem}', or the file after it"
            self.note(("connector",), "name", text)

    # -- streams

    def _declared(self) -> dict[str, bool]:
        """The declared streams, and whether each has a topic."""
        said = self.spec.get("streams")
        if not isinstance(said, dict):
            return {}
        return {name: isinstance(one, dict) and "topic" in one for name, one in said.items()}

    def _streams(self) -> list[Stream]:
        compiler = StreamCompiler(self.note, self.spec, self.of_interval)
        backfills = BackfillCompiler(compiler)
        found: list[Stream] = []
        for name in self._declared() if self.note.reachable(("streams",)) else ():
            if self.note.reachable(("streams", name)):
                whole = self.spec["streams"][name]
                stream = compiler.stream(name, whole)
                if stream:
                    found.append(replace(stream, backfill=tuple(backfills.backfills(stream, whole))))
        return found

    # -- connections

    def _connections(self) -> list[Connection]:
        entries = self._entries()
        compiler = ConnectionCompiler(self.note, self.folder, self._declared())
        found = [compiler.connection(said, path) for said, path in entries]
        self._check_names(entries)
        if all(self.note.sound(path) for _, path in entries) and entries:
            self.note.check_states(set().union(*(compiler.captured(said, path) for said, path in entries)))
        return [connection for connection in found if connection]

    def _entries(self) -> list[tuple[dict[str, Any], Path]]:
        """The connections that can be compiled."""
        one, several = "connection" in self.spec, "connections" in self.spec
        if one and several:
            self.note(("connections",), "value", "say either `connection` or `connections`", at_key=True)
        if not one and not several:
            self.note((), "missing", "'connection' is missing: where to connect and what to say")
        if one == several:
            return []
        if one:
            entries: list[tuple[Any, Path]] = [(self.spec["connection"], ("connection",))]
        else:
            said = self.spec["connections"] if self.note.reachable(("connections",)) else []
            entries = [(entry, ("connections", at)) for at, entry in enumerate(said)]
        return [(entry, path) for entry, path in entries if self.note.reachable(path)]

    def _check_names(self, entries: list[tuple[dict[str, Any], Path]]) -> None:
        seen: set[str] = set()
        for said, path in entries:
            name = said.get("name")
            if len(entries) > 1 and name is None:
                self.note(path, "missing", "'name' is missing: several connections are told apart by name")
            if not isinstance(name, str):
                continue
            if name in seen:
                self.note((*path, "name"), "value", f"two connections are named '{name}'")
            seen.add(name)
