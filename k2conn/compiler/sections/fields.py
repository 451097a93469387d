"""One v2 field: an author's `from` with its converter becomes a reader, ``(item, scope) -> the encoder's value``.

Which converter is decided by the field's kind in the record schema, so a new record type needs no change here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.compiler.converters.decimals import decimals, plain_decimal, read_number
from k2conn.compiler.converters.patterns import text_pattern
from k2conn.compiler.converters.readers import (
    Convert,
    by_symbol,
    cased,
    cut_out,
    looked_up,
    or_fallback,
    or_received,
    placed,
    reader,
    received,
    rounding,
    text,
    texts,
    whole_number,
)
from k2conn.compiler.converters.sides import inverted, mapped_side, quick_side, side_table, signed_side
from k2conn.compiler.converters.times import UNITS, plain_time, times
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.conditions import compile_match
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.plan import Condition, DirectKey, FastConversion, Field, Getter, Reader

_RECEIVED = "$received_at"


class FieldCompiler:
    """Compiles the fields of one connector's streams; a field with problems is None."""

    def __init__(self, note: CompileContext, on_overflow: str) -> None:
        self.note = note
        self.on_overflow = on_overflow

    def field(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        """One mapped field of the record."""
        said: dict[str, Any] = value if isinstance(value, dict) else {"from": value}
        if target.kind == "decimal":
            return self._decimal(target, said, path)
        if target.kind.startswith("timestamp"):
            return self._time(target, said, path)
        if target.kind == "enum":
            return self._enum(target, said, path)
        if target.kind == "array<string>":
            return self._list(target, value, path)
        if target.kind in ("long", "int"):
            fast = FastConversion("whole", below=2**63 - 1)
            return self._simple(target, said, path, whole_number, "whole number", fast)
        return self._simple(target, said, path, text, "text", FastConversion("text"))

    def vendor(self, name: str, value: Any, path: Path) -> Field | None:
        """One vendor_data entry: text in JSON spelling, None where the message has nothing."""
        if isinstance(value, dict):
            constant = exactjson.spell(value["value"])
            return Field(name, lambda item, scope: constant, constant, "constant")
        found = self._getter({"from": value}, path)
        if found is None:
            return None
        get, speed = found

        def read(item: Any, scope: Any) -> str | None:
            kept = get(item, scope)
            return None if kept is None else kept if type(kept) is str else exactjson.spell(kept)

        direct = _direct({"from": value}, exactjson.spell)
        return Field(name, read, value, "JSON spelling", speed=speed, direct=direct)

    # -- numbers

    def _decimal(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        scale, magnitude, signed = said.get("scale"), said.get("magnitude") is True, said.get("signed") is True
        if magnitude and signed:
            self.note((*path, "signed"), "value", "`magnitude` drops the sign: say one of the two", at_key=True)
            return None
        if isinstance(scale, dict):
            found = self._scaled_by_symbol(target, said, path, magnitude, signed)
        else:
            words = f" * {exactjson.spell(scale)}" if scale is not None else ""
            words = f"decimal({target.precision},{target.scale}){words}"
            words += ", magnitude" if magnitude else ", signed" if signed else ""
            how = plain_decimal(target.scale, target.precision) if scale is None and not magnitude else None
            convert = decimals(target.scale, target.precision, _exact(scale), magnitude, signed)
            found = self._simple(target, said, path, convert, words, how)
        if found is None or said.get("on_overflow", self.on_overflow) != "round" or "value" in said:
            return found
        got = self._getter(said, path)
        if got is None:
            return None
        read = rounding(found.read, got[0], target.name, target.scale, target.precision)
        words = found.converter + ", rounded half-even if longer"
        return Field(target.name, read, found.expression, words, found.absent, found.speed)

    def _scaled_by_symbol(
        self, target: SchemaField, said: dict[str, Any], path: Path, magnitude: bool, signed: bool
    ) -> Field | None:
        rules: list[tuple[Condition | None, Convert]] = []
        wrong = False
        for at, rule in enumerate(said["scale"]["by_symbol"]):
            place = (*path, "scale", "by_symbol", at, "when")
            match = compile_match(rule["when"], place, self.note) if "when" in rule else None
            wrong = wrong or ("when" in rule and match is None)
            convert = decimals(target.scale, target.precision, _exact(rule["scale"]), magnitude, signed)
            rules.append((match.condition if match else None, convert))
        found = self._getter(said, path)
        absent = self._absent(target, said, path, decimals(target.scale, target.precision))
        if wrong or found is None or absent is None:
            return None
        get, speed = found
        expression = _expression(said)
        read = by_symbol(get, tuple(rules), target.name, expression, *absent)
        words = f"decimal({target.precision},{target.scale}) scaled by symbol"
        return Field(target.name, read, expression, words, _default(said), speed)

    # -- times

    def _time(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        if said.get("from") == _RECEIVED:
            return Field(target.name, received, _RECEIVED, "receipt time, marked in vendor_data")
        if "unit" not in said:
            shown = said.get("from", "EXPRESSION")
            text = f"a time says its unit: {{from: {shown}, unit: one of {', '.join(UNITS)}}}"
            self.note(path, "time-unit", text)
            return None
        zone = said.get("zone")
        if zone is not None and not self._zone(zone, said["unit"], (*path, "zone")):
            return None
        convert = times(said["unit"], zone)
        words = f"time in {said['unit']}" + (f", zone {zone}" if zone else "")
        if said.get("absent") != _RECEIVED:
            return self._simple(target, said, path, convert, words, plain_time(said["unit"]))
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        read = or_received(reader(get, convert, target.name, _expression(said), False, None), get)
        return Field(target.name, read, _expression(said), words, _RECEIVED, speed)

    def _zone(self, zone: str, unit: str, path: Path) -> bool:
        if unit != "iso8601":
            text = f"a zone is for iso8601 text; a number in {unit} counts from 1970 UTC"
            self.note(path, "value", text, at_key=True)
            return False
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.note(path, "value", f"'{short(zone)}' is no IANA time zone, such as UTC or Asia/Tokyo")
            return False
        return True

    # -- sides

    def _enum(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        if "value" in said:
            return self._constant_enum(target, said, path)
        if ("map" in said) == ("sign" in said):
            shown = said.get("from", "EXPRESSION")
            text = f"a {target.name} says what its values mean: {{from: {shown}, map: {{buy: BUY, sell: SELL}}}}"
            self.note(path, "side-map", text + ", or `sign:`" if "map" not in said else "say `map` or `sign`, not both")
            return None
        place = "map" if "map" in said else "sign"
        rules: dict[str, str] = said[place]
        wrong = [self._wrong_symbol(target, symbol, (*path, place, key)) for key, symbol in rules.items()]
        if "absent" in said:
            wrong.append(self._wrong_symbol(target, said["absent"], (*path, "absent")))
        found = self._getter(said, path)
        invert = None
        if "invert_when" in said:
            invert = compile_match(said["invert_when"], (*path, "invert_when"), self.note)
        if any(wrong) or found is None or ("invert_when" in said and invert is None):
            return None
        get, speed = found
        read = _side(get, said)
        if invert:
            read = inverted(read, invert.condition)
        expression = _expression(said)
        words = ", ".join(f"{key} -> {symbol}" for key, symbol in rules.items())
        words += ", strict" if said.get("strict") else ""
        quick = None
        if "map" in said and not invert:
            quick = _direct(said, quick_side(said["map"]), FastConversion("named", table=side_table(said["map"])))
        return Field(target.name, placed(read, get, target.name, expression), expression, words,
                     said.get("absent"), speed, quick)

    def _wrong_symbol(self, target: SchemaField, symbol: Any, path: Path) -> bool:
        if symbol in target.symbols:
            return False
        text = f"'{short(exactjson.spell(symbol))}' is no {target.name}{known(symbol, target.symbols)}"
        self.note(path, "side-map", text)
        return True

    def _constant_enum(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        symbol = said["value"]
        if self._wrong_symbol(target, symbol, (*path, "value")):
            return None
        return Field(target.name, lambda item, scope: symbol, symbol, "constant")

    # -- text, whole numbers, lists

    def _list(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        if isinstance(value, list):
            return Field(target.name, lambda item, scope: value, exactjson.spell(value), "constant")
        return self._simple(target, {"from": value, "absent": []}, path, texts, "list of text")

    def _simple(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert, words: str,
        how: FastConversion | None = None,
    ) -> Field | None:
        if "value" in said:
            return self._constant(target, said, path, convert)
        found = self._getter(said, path)
        absent = self._absent(target, said, path, convert)
        if found is None or absent is None:
            return None
        get, speed = found
        read = reader(get, convert, target.name, _expression(said), *absent)
        default = _default(said) or ("null" if target.nullable else None)
        quick = or_fallback(convert, absent[1]) if absent[0] else convert
        return Field(target.name, read, _expression(said), words, default, speed, _direct(said, quick, how))

    def _constant(self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert) -> Field | None:
        if "from" in said:
            self.note((*path, "value"), "value", "a field has `from` or `value`, not both", at_key=True)
            return None
        try:
            constant = convert(said["value"])
        except RecordError as error:
            self.note((*path, "value"), "value", error.detail)
            return None
        return Field(target.name, lambda item, scope: constant, exactjson.spell(said["value"]), "constant")

    def _absent(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert
    ) -> tuple[bool, Any] | None:
        """Whether something stands for a missing value, and what; None after noting that it does not fit."""
        if "absent" not in said:
            return target.nullable, None
        absent = said["absent"]
        if absent == []:
            return True, []
        if absent is None and target.nullable:
            return True, None
        try:
            return True, convert(absent)
        except RecordError as error:
            detail = f"the {target.name} field is never empty" if absent is None else error.detail
            self.note((*path, "absent"), "value", detail)
            return None

    # -- where the value comes from

    def _getter(self, said: dict[str, Any], path: Path) -> tuple[Getter, str] | None:
        if "from" not in said:
            self.note(path, "missing", "the field says where it comes from: {from: EXPRESSION}, or {value: CONSTANT}")
            return None
        place = path if (*path, "from") not in self.note.document.places else (*path, "from")
        expression = self.note.expression(said["from"], place)
        if expression is None:
            return None
        get = expression.get
        if "look_up" in said:
            name = said["look_up"].removeprefix("$state.")
            self.note.state(name, (*path, "look_up"))
            get = looked_up(get, name)
        if "pattern" in said:
            try:
                get = cut_out(get, text_pattern(said["pattern"], "symbol" if path[-1] == "symbol" else "value"))
            except ValueError as error:
                self.note((*path, "pattern"), "pattern", str(error))
                return None
        if "case" in said:
            get = cased(get, said["case"])
        return get, expression.speed


def _side(get: Getter, said: dict[str, Any]) -> Reader:
    strict, absent = said.get("strict") is True, said.get("absent")
    if "map" in said:
        return mapped_side(get, said["map"], strict, absent)
    return signed_side(get, said["sign"]["positive"], said["sign"]["negative"], strict, absent)


def _direct(said: dict[str, Any], quick: Convert, how: FastConversion | None = None) -> DirectKey | None:
    """The key and the quick converter where a field is one key of its item and nothing more."""
    if {"look_up", "pattern", "case"} & set(said):
        return None
    key = compile_expression(said["from"]).key
    return DirectKey(key, quick, how) if key is not None else None


def _default(said: dict[str, Any]) -> str | None:
    return exactjson.spell(said["absent"]) if "absent" in said else None


def _expression(said: dict[str, Any]) -> str:
    words = str(said["from"])
    if "look_up" in said:
        words += f" looked up in {said['look_up']}"
    if "pattern" in said:
        words += f" cut by {said['pattern']}"
    return words


def _exact(value: Any) -> Decimal | None:
    return None if value is None else read_number(value)
