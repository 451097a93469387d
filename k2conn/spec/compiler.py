"""A connector file becomes a plan, or the whole list of what is wrong with it."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from k2conn.errors import SpecError
from k2conn.plan import Connection, HttpRequest, Plan, Stream, Symbol, SymbolRule
from k2conn.spec.connections import ConnectionCompiler
from k2conn.spec.document import Document, Path, read_document
from k2conn.spec.durations import duration
from k2conn.spec.examples import read_examples
from k2conn.spec.problems import Problem
from k2conn.spec.shape import check_shape
from k2conn.spec.streams import StreamCompiler
from k2conn.spec.symbols import Form, form, resolver


def load_plan(path: FilePath) -> Plan:
    """The plan of one connector file; raises SpecError with all problems."""
    plan, problems = check_file(path)
    if plan is None or problems:
        raise SpecError(problems)
    return plan


def check_file(path: FilePath) -> tuple[Plan | None, list[Problem]]:
    """Reads and checks one file: a plan and no problems, or problems and perhaps no plan."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [Problem(str(path), 1, 1, "yaml", f"not UTF-8 text: {error.reason}")]
    except OSError as error:
        return None, [Problem(str(path), 1, 1, "unreadable", error.strerror or str(error))]
    return check_text(str(path), text, path.parent)


def check_text(file: str, text: str, folder: FilePath) -> tuple[Plan | None, list[Problem]]:
    """The same for a text; ``folder`` is where files beside it are looked for."""
    document = read_document(file, text)
    if document.value is not None or not document.problems:
        check_shape(document)
    plan = _Compiler(document, folder).compile() if isinstance(document.value, dict) else None
    problems = sorted(set(document.problems))
    return (None if problems else plan), problems


class _Compiler:
    """Compiles whatever parts have the right shape, so that problems of meaning come together with those of shape."""

    def __init__(self, document: Document, folder: FilePath) -> None:
        self.document = document
        self.folder = folder
        self.spec: dict[str, Any] = document.value
        self.broken = [problem.path for problem in document.problems]

    def note(self, path: Path, code: str, text: str) -> None:
        self.document.problem(path, code, text)

    def _sound(self, *parts: str | int) -> bool:
        """Whether a section is there and has no problem of shape in it."""
        value: Any = self.spec
        for part in parts:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return False
        prefix = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)[1:]
        return not any(path == prefix or path.startswith((prefix + ".", prefix + "[")) for path in self.broken)

    def compile(self) -> Plan | None:
        named = all(self._sound(name) for name in ("connector", "exchange", "asset_class"))
        symbols = self._symbols() if self._sound("symbols") else None
        streams = self._streams() if named and isinstance(self.spec.get("streams"), dict) else ()
        connections = self._connections(streams)
        names = tuple(self.spec["streams"]) if isinstance(self.spec.get("streams"), dict) else ()
        examples = read_examples(self.document, names, symbols.default if symbols else ()) if self._tests() else ()
        self._check_name()
        if symbols is None or not named or not self._sound("docs"):
            return None
        listing, every = self._listing()
        return Plan(
            name=self.spec["connector"],
            exchange=self.spec["exchange"],
            asset_class=self.spec["asset_class"],
            market=self.spec.get("market", "spot" if self.spec["asset_class"] == "crypto" else self.spec["asset_class"]),
            docs=self.spec["docs"],
            path=self.document.file,
            symbols=symbols,
            connections=connections,
            streams=streams,
            examples=examples,
            listing=listing,
            listing_every=every,
        )

    def _tests(self) -> bool:
        return "tests" in self.spec and self._sound("tests")

    def _check_name(self) -> None:
        stem = FilePath(self.document.file).stem
        if self._sound("connector") and self.spec["connector"] != stem and self.document.file.endswith(".yaml"):
            text = f"the file is named '{stem}': name the connector the same"
            self.note(("connector",), "name", text)

    def _streams(self) -> tuple[Stream, ...]:
        compiler = StreamCompiler(self.note, self.spec)
        found = [
            compiler.stream(name, said) for name, said in self.spec["streams"].items() if self._sound("streams", name)
        ]
        return tuple(stream for stream in found if stream)

    def _connections(self, streams: tuple[Stream, ...]) -> tuple[Connection, ...]:
        if "connection" in self.spec and "connections" in self.spec:
            self.note(("connections",), "value", "say either `connection` or `connections`")
            return ()
        if "connection" not in self.spec and "connections" not in self.spec:
            self.note((), "missing", "'connection' is missing: where to connect and what to say")
            return ()
        entries: list[tuple[Any, Path]]
        if "connection" in self.spec:
            entries = [(self.spec["connection"], ("connection",))]
        else:
            entries = [(one, ("connections", at)) for at, one in enumerate(self.spec["connections"])]
        if len(streams) != len(self.spec.get("streams") or ()):
            declared = set(self.spec.get("streams") or ())
            if not declared or not all(self._sound(*path) for _, path in entries):
                return ()
        compiler = ConnectionCompiler(self.note, self.folder, streams)
        whole = len(streams) == len(self.spec.get("streams") or ())
        found = [compiler.connection(said, path) for said, path in entries if self._sound(*path) and whole]
        self._check_names(entries)
        return tuple(connection for connection in found if connection)

    def _check_names(self, entries: list[tuple[Any, Path]]) -> None:
        seen: set[str] = set()
        for said, path in entries:
            name = said.get("name") if isinstance(said, dict) else None
            if len(entries) > 1 and name is None:
                self.note(path, "missing", "'name' is missing: several connections are told apart by name")
            if name in seen:
                self.note((*path, "name"), "value", f"two connections are named '{name}'")
            if name:
                seen.add(name)

    # -- symbols

    def _symbols(self) -> SymbolRule | None:
        said = self.spec["symbols"]
        quotes = tuple(said.get("quotes", ()))
        aliases = {key.upper(): value for key, value in said.get("aliases", {}).items()}
        forms = self._forms(said, quotes)
        record = said.get("record")
        table = {
            native: Symbol(native, one.get("record") or _spelled(native, one, record), one["base"], one["quote"])
            for native, one in said.get("table", {}).items()
        }
        if not forms and not table and "list" not in said:
            if "form" not in said:
                self.note(("symbols",), "missing", "symbols need a `form`, a `table` or a `list`")
            return None
        resolve = resolver(tuple(forms), table, aliases, record)
        for at, native in enumerate(said["default"]):
            if "list" not in said and resolve(native) is None:
                text = f"no rule in `symbols` reads '{native}'"
                self.note(("symbols", "default", at), "unknown-symbol", text)
        words = [rule.text for rule in forms] + (["table"] if table else []) + (["list"] if "list" in said else [])
        return SymbolRule(tuple(said["default"]), resolve, ", ".join(words))

    def _forms(self, said: dict[str, Any], quotes: tuple[str, ...]) -> list[Form]:
        wanted = said.get("form", [])
        entries = [(wanted, ("symbols", "form"))] if not isinstance(wanted, list) else [
            (one, ("symbols", "form", at)) for at, one in enumerate(wanted)
        ]
        found: list[Form] = []
        for one, path in entries:
            text = one if isinstance(one, str) else one["form"]
            fixed = {} if isinstance(one, str) else {key: one[key] for key in ("base", "quote") if key in one}
            if "{base}{quote}" in text and not quotes:
                self.note(path, "missing", "nothing separates {base} from {quote}: list the currencies in `quotes:`")
                continue
            try:
                found.append(form(text, quotes, fixed))
            except ValueError as error:
                self.note(path, "form", str(error))
        return found

    def _listing(self) -> tuple[HttpRequest | None, float | None]:
        said = self.spec["symbols"].get("list")
        if said is None:
            return None, None
        request = ConnectionCompiler(self.note, self.folder, ()).http({"http": said["http"]}, ("symbols", "list"))
        return request, duration(said["refresh"]) if "refresh" in said else None


def _spelled(native: str, one: dict[str, str], record: str | None) -> str:
    return native.upper() if record == "native" else one["base"] + one["quote"]
