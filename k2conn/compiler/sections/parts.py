"""What the compilers of a file's sections share: the optional parts of a map, by key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.conditions import compile_match
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import Getter, Match, Template


class SectionCompiler:
    """A compiler of one section; each part is None where it is not said, or after noting what is wrong with it."""

    def __init__(self, note: CompileContext) -> None:
        self.note = note

    def _positive(self, said: dict[str, Any], key: str, path: Path, default: float) -> float:
        return self.note.positive(said[key], (*path, key)) if key in said else default

    def _match(self, said: dict[str, Any], key: str, path: Path) -> Match | None:
        return compile_match(said[key], (*path, key), self.note) if key in said else None

    def _getter(self, said: dict[str, Any], key: str, path: Path) -> Getter | None:
        if key not in said:
            return None
        expression = self.note.expression(said[key], (*path, key), lenient=True)
        return expression.get if expression else None

    def _template(self, said: dict[str, Any], key: str, path: Path, allowed: tuple[str, ...]) -> Template | None:
        if key not in said:
            return None
        compiled = self.note.template(said[key], (*path, key), allowed, key == "headers")
        return compiled.render if compiled else None

    def _names(self, said: dict[str, Any], key: str, path: Path, streams: Iterable[str]) -> tuple[str, ...] | None:
        """The streams that are named under a key; those that are not declared are noted."""
        if key not in said:
            return None
        place, declared = (*path, key), tuple(streams)
        named = [(said[key], place)]
        if isinstance(said[key], list):
            named = [(name, (*place, at)) for at, name in enumerate(said[key])]
        for name, where in named:
            if name not in declared:
                text = f"'{short(name)}' is no stream of this connector{known(name, declared)}"
                self.note(where, "unknown-stream", text)
        return tuple(name for name, _ in named if name in declared)
