"""Compiles ``carry:`` of a stream: which fields keep their last value, and what clears them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.fields import FieldCompiler
from k2conn.compiler.sections.parts import SectionCompiler
from k2conn.compiler.sections.revisions import says_null
from k2conn.plan import Carry, ClearRule, Condition, Field, QuickNumber, Reader
from k2conn.records import RecordType
from k2conn.scope import Scope


class CarryCompiler(SectionCompiler):
    """Compiles what a connector's streams say of it."""

    def __init__(self, note: CompileContext, fields: FieldCompiler) -> None:
        super().__init__(note)
        self._fields = fields

    def carry(self, record: RecordType, said: dict[str, Any], mapping: dict[str, Any], path: Path) -> Carry | None:
        """Carried fields are read strictly; their `absent` only stands where nothing was said yet, or was cleared."""
        if "carry" not in said:
            return None
        words, place = said["carry"], (*path, "carry")
        names: list[str] = []
        readers: list[Reader] = []
        defaults: list[Any] = []
        nullable: list[bool] = []
        numbers: list[QuickNumber | None] = []
        for name in (one for one in record.profile.carried if one in mapping and not _always_null(mapping[one])):
            value, where = mapping[name], (*path, "fields", name)
            target = replace(record.field(name), nullable=False)  # so that a missing value raises
            given = {"from": value} if isinstance(value, str) else value
            strict = {key: one for key, one in given.items() if key != "absent"}
            field = self._fields.field(target, strict, where)
            null, fallback = says_null(given), None
            if "absent" in given and not null:
                fallback = self._fields.field(target, {"value": given["absent"]}, where)
            if field:
                names.append(name)
                readers.append(field.read)
                numbers.append(_number(field))
                defaults.append(fallback.read(None, Scope()) if fallback else None)
                nullable.append(null and record.field(name).nullable)
        if not names:
            text = f"nothing to carry: the stream maps none of {', '.join(record.profile.carried)}"
            if not record.profile.carried:
                text = f"nothing to carry: each {record.name} record stands for itself"
            self.note(place, "value", text, at_key=True)
        stands = [null or value is not None for null, value in zip(nullable, defaults, strict=True)]
        clear = [*self._rules(words, names, stands, place), *self._nulls(words, names, stands, mapping, place)]
        begin = self._match(words, "begin", place)
        return Carry(
            tuple(names), tuple(readers), tuple(defaults), begin, tuple(clear), words.get("publish") == "changed",
            tuple(nullable), tuple(numbers),
        )

    def _rules(
        self, words: Mapping[str, Any], names: list[str], stands: list[bool], path: Path
    ) -> Iterator[ClearRule]:
        """What `clear` says: fields that an item empties."""
        for at, rule in enumerate(words.get("clear", ())):
            place = (*path, "clear", at)
            match = self._match(rule, "when", place)
            places = []
            for number, name in enumerate(rule["fields"]):
                where = (*place, "fields", number)
                if name not in names:
                    self.note(where, "unknown-field", f"'{short(name)}' is no carried field{known(name, names)}")
                elif self._stands(name, stands[names.index(name)], where):
                    places.append(names.index(name))
            if match is not None:
                yield ClearRule(match.text, match.condition, frozenset(places))

    def _nulls(
        self, words: Mapping[str, Any], names: list[str], stands: list[bool], mapping: Mapping[str, Any], path: Path
    ) -> Iterator[ClearRule]:
        """`nulls: clear`: where a field's path leads to null, it is emptied; where it leads nowhere, it is kept."""
        if words.get("nulls") != "clear":
            return
        place = (*path, "nulls")
        for at, name in enumerate(names):
            value = mapping[name]
            text = value.get("from") if isinstance(value, dict) else value
            expression = self.note.expression(text, place) if isinstance(text, str) else None
            if expression is None or expression.there is None:
                detail = f"only a plain path tells null from nothing, and {name} has none: say `clear` with a condition"
                self.note(place, "value", detail)
            elif self._stands(name, stands[at], place):
                is_null = _null(expression.get, expression.there)
                yield ClearRule(f"{expression.text} is null", is_null, frozenset({at}))

    def _stands(self, name: str, stands: bool, path: Path) -> bool:
        """Whether something stands in a field that is cleared."""
        if not stands:
            text = f"nothing stands in {name} when it is cleared: say `absent` there, such as 0"
            self.note(path, "value", text)
        return stands


def _number(field: Field) -> QuickNumber | None:
    """How a number is read; None where the field is something else."""
    direct = field.direct
    if direct is None or direct.conversion is None or direct.conversion.kind not in ("decimal", "magnitude", "signed"):
        return None
    return QuickNumber(direct.get, direct.convert, field)


def _always_null(said: Any) -> bool:
    return isinstance(said, dict) and "value" in said and said["value"] is None


def _null(get: Condition, there: Condition) -> Condition:
    return lambda item, scope: get(item, scope) is None and there(item, scope) is not None
