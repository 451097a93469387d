"""Compiles ``sequence:`` of a stream: where its numbers stand, what they promise, and what they count within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.patterns import text_pattern
from k2conn.compiler.converters.readers import cut_out, whole_number
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.language.document import Path
from k2conn.compiler.sections.parts import SectionCompiler
from k2conn.compiler.sections.spans import EVERY, SpanCompiler
from k2conn.plan import Field, Getter, Reader, Sequence
from k2conn.scope import Scope

_SYMBOL, _CONNECTION = "symbol", "connection"
_LONGEST = 200
"""Characters of what numbers count within."""


class SequenceCompiler(SectionCompiler):
    """Compiles the sequence rules of a connector's streams, and where rows of a backfill have their numbers."""

    def sequence(
        self, said: dict[str, Any], path: Path, spans: SpanCompiler, fields: Mapping[str, Field]
    ) -> Sequence | None:
        """The rule of one stream; None after noting what is wrong."""
        if "sequence" not in said:
            return None
        rule, place = said["sequence"], (*path, "sequence")
        if rule == EVERY:
            if spans.interval is None:
                self.note(place, "value", f"`{EVERY}` is for a stream with `intervals`")
            return spans.sequence(fields)
        missing = [key for key in ("from", "rule", "per") if key not in rule]
        if missing:
            self.note(place, "missing", f"'{missing[0]}' is missing")
            return None
        pattern = rule.get("pattern")
        read = self._number(rule["from"], pattern, place, "from")
        previous = self._number(rule["previous"], pattern, place, "previous") if "previous" in rule else None
        if (rule["rule"] == "linked") != ("previous" in rule):
            text = "`rule: linked` and `previous:` (where the number before this one stands) belong together"
            self.note(place, "value", text)
        per = rule["per"] if isinstance(rule["per"], list) else [rule["per"]]
        group = self._group(per, place)
        if read is None or group is None:
            return None
        cut = f" cut by {pattern}" if pattern is not None else ""
        return Sequence(
            read, rule["from"] + cut, rule["rule"], ", ".join(per), previous,
            compile_expression(rule["from"]).key if pattern is None else None, rule.get("previous", ""),
            group if per not in ([_SYMBOL], [_CONNECTION]) else None, _CONNECTION in per,
        )

    def row_number(self, said: dict[str, Any], path: Path) -> Reader | None:
        """The number of a row of a backfill; None where its place is not said, or wrong."""
        value = said.get("number")
        if isinstance(value, dict):
            return self._number(value["from"], value["pattern"], (*path, "number"), "from")
        return self._number(value, None, path, "number") if value is not None else None

    def _number(self, text: str, pattern: str | None, path: Path, key: str) -> Reader | None:
        """A whole number that an expression finds, or the part of a text that is one."""
        expression = self.note.expression(text, (*path, key))
        if expression is None:
            return None
        get = expression.get
        if pattern is not None:
            try:
                get = cut_out(get, text_pattern(pattern, "value"))
            except ValueError as error:
                self.note((*path, "pattern"), "pattern", str(error))
                return None

        def read(item: Any, scope: Scope) -> int | None:
            value = get(item, scope)
            return None if value is None else whole_number(value)

        return read

    def _group(self, per: list[str], path: Path) -> Reader | None:
        """What says within what a number counts, as text; None after noting what is wrong."""
        parts: list[Getter] = []
        for at, text in enumerate(per):
            if text == _SYMBOL:
                parts.append(lambda item, scope: scope.symbol.record if scope.symbol else None)
            elif text == _CONNECTION:
                parts.append(lambda item, scope: scope.epoch)
            else:
                place = (*path, "per", at) if (*path, "per", at) in self.note.document.places else (*path, "per")
                expression = self.note.expression(text, place)
                if expression is None:
                    return None
                parts.append(expression.get)

        def group(item: Any, scope: Scope) -> str | None:
            found = [get(item, scope) for get in parts]
            text = "|".join(one if type(one) is str else exactjson.spell(one) for one in found)
            return text if text and None not in found and len(text) <= _LONGEST else None

        return group
