"""Shared by the compilers of all sections: problems, which parts are valid, which ``$state`` names are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import Expression, compile_expression
from k2conn.compiler.expressions.negated_paths import negated_path
from k2conn.compiler.expressions.quoted_keys import quoted_key
from k2conn.compiler.expressions.templates import Compiled, TemplateError, compile_template
from k2conn.compiler.language.document import Document, Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.language.problems import known, short
from k2conn.schemes import BUILT_IN, Secure

Read = TypeVar("Read")
MAX_EXPRESSIONS = 100_000
"""Characters of all expressions of a file."""


class CompileContext:
    """The problems of one connector file while it is compiled. After noting a problem, a compiler returns None or
    skips.

    Parts that violate the schema are reported already and not compiled (`sound`), so that the semantic problems of all
    other parts are reported at the same time.
    """

    def __init__(
        self, document: Document, parts: tuple[str, ...] = (), secure: Secure = BUILT_IN.get,
        refusal: Callable[[str], str] = lambda name: "",
    ) -> None:
        self.document = document
        self._refusal = refusal
        """Why the file may not read an environment variable; nothing where it may."""
        self.variables: dict[str, list[Path]] = {}
        """The environment variables that the file reads, each with its places."""
        self.secure = secure
        """Of the schemes that connections may have."""
        self.tables: Mapping[str, Mapping[str, str]] = {}
        """Those of `tables:`, by name."""
        self.parts = parts
        """Parts of this connector's symbols beyond base and quote."""
        self._characters = 0
        """Of all expressions so far."""
        self._states: list[tuple[Path, str, int]] = []
        self._broken: set[Path] = set(document.broken)
        self._touched = {path[:length] for path in self._broken for length in range(len(path) + 1)}

    def __call__(self, path: Path, code: str, text: str, *, at_key: bool = False, offset: int = 0) -> None:
        """One problem: where, a code, and what to do."""
        self.document.problem(path, code, text, at_key, offset)

    def warn(self, path: Path, code: str, text: str) -> None:
        """Something that is no problem, and yet worth saying."""
        self.document.warn(path, code, text)

    # -- shape

    def sound(self, path: Path) -> bool:
        """Whether nothing at or below a path has a wrong shape."""
        return path not in self._touched

    def reachable(self, path: Path) -> bool:
        """Whether the value at a path has the right shape itself, whatever is inside."""
        return path not in self._broken

    def entries(self, said: dict[str, Any], key: str, path: Path) -> Iterator[tuple[Any, Path]]:
        """The sound entries of the list under a key, with their places."""
        if self.reachable((*path, key)):
            for at, one in enumerate(said.get(key, ())):
                if self.sound((*path, key, at)):
                    yield one, (*path, key, at)

    def pruned(self, said: dict[str, Any], path: Path, lists: tuple[str, ...] = ()) -> dict[str, Any]:
        """A map without its keys of wrong shape; of ``lists`` the entries are looked at one by one."""
        return {
            key: value
            for key, value in said.items()
            if self.sound((*path, key)) or (key in lists and self.reachable((*path, key)))
        }

    # -- the two notations

    def expression(
        self, text: str, path: Path, *, lenient: bool = False, at_key: bool = False
    ) -> Expression | None:
        """A compiled expression; None after noting why it is none."""
        self._characters += len(text)
        if self._characters > MAX_EXPRESSIONS:
            if self._characters - len(text) <= MAX_EXPRESSIONS:
                self(path, "too-large", f"the expressions of a file have at most {MAX_EXPRESSIONS} characters together")
            return None
        try:
            expression = compile_expression(text, lenient)
        except ExpressionError as error:
            self(path, error.code, str(error), at_key=at_key, offset=error.offset)
            return None
        for name in sorted(expression.states):
            self.state(name, path, max(text.find("$state"), 0))
        if (key := quoted_key(text)) is not None:
            self.warn(path, "expression", f'"{short(key)}" is a key in JMESPath, not a text: for the text say '
                                          f"'{short(key)}', with single quotes")
        if (negated := negated_path(text)) is not None:
            self.warn(path, "expression", f"'!{short(negated)}' is null whatever the message is, for ! takes the first "
                                          f"key only: say '!({short(negated)})'")
        return expression

    def template(
        self, value: Any, path: Path, allowed: tuple[str, ...], headers: bool = False
    ) -> Compiled | None:
        """A compiled template; None after noting why it is none. ``headers``: of a request's headers."""
        try:
            compiled = compile_template(value, allowed, self.parts, headers, self._refusal)
        except TemplateError as error:
            self._template_problem(error, path)
            return None
        for refused in compiled.refused:
            self._template_problem(refused, path)
        if compiled.refused:
            return None
        for name in sorted(compiled.states):
            self.state(name, path)
        for name, inside in compiled.variables.items():
            self.variables.setdefault(name, []).extend((*path, *one) for one in inside)
        return compiled

    def _template_problem(self, error: TemplateError, path: Path) -> None:
        self((*path, *error.path), error.code, str(error), at_key=error.at_key, offset=error.offset)

    def read(self, reader: Callable[[str], Read], text: str, path: Path) -> Read | None:
        """A duration, size or rate; None after noting why it is none."""
        try:
            return reader(text)
        except ValueError as error:
            self(path, "value", str(error))
            return None

    def positive(self, text: str, path: Path) -> float:
        """A duration above zero; 1.0 after noting that it is not."""
        seconds = duration(text)
        if seconds <= 0:
            self(path, "value", f"'{text}' is no time at all: say how long, such as 30s")
            return 1.0
        return seconds

    # -- what is learnt on a connection

    def state(self, name: str, path: Path, offset: int = 0) -> None:
        """Records that ``$state.NAME`` is used."""
        self._states.append((path, name, offset))

    def check_states(self, captured: set[str]) -> None:
        """Notes every use of a ``$state`` name that nothing captures."""
        for path, name, offset in self._states:
            if name not in captured:
                hint = known(name, sorted(captured)) or ": say where in `capture:`"
                self(path, "unknown-state", f"nothing captures $state.{name}{hint}", offset=offset)
