"""One v2 field: an author's `from` with its converter becomes a reader, ``(item, scope) -> the encoder's value``.

Which converter is decided by the field's kind in the record schema, so a new record type needs no change here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.errors import RecordError
from k2conn.plan import Condition, Field, Getter, Reader, Scope
from k2conn.spec.conditions import Note, compile_match
from k2conn.spec.decimals import Overflow, decimals, read_number, rounded
from k2conn.spec.document import Path
from k2conn.spec.expressions import ExpressionError, compile_expression
from k2conn.spec.patterns import text_pattern
from k2conn.spec.problems import known
from k2conn.spec.sides import SIDES, inverted, mapped_side, signed_side
from k2conn.spec.times import times

Convert = Callable[[Any], Any]


class FieldCompiler:
    """Compiles the fields of one stream; problems go to ``note``, a field with problems is None."""

    def __init__(self, note: Note, on_overflow: str) -> None:
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
            return self._simple(target, said, path, whole_number, "whole number")
        return self._simple(target, said, path, text, "text")

    def vendor(self, name: str, value: Any, path: Path) -> Field | None:
        """One vendor_data entry: text in JSON spelling, None where the message has nothing."""
        if isinstance(value, dict):
            constant = exactjson.spell(value["value"])
            return Field(name, lambda item, scope: constant, constant, "constant")
        found = self._getter({"from": value}, path)
        if found is None:
            return None
        get, speed = found

        def read(item: Any, scope: Scope) -> str | None:
            kept = get(item, scope)
            return None if kept is None else kept if type(kept) is str else exactjson.spell(kept)

        return Field(name, read, value, "JSON spelling", speed=speed)

    # -- kinds

    def _decimal(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        policy = said.get("on_overflow", self.on_overflow)
        scale = said.get("scale")
        if isinstance(scale, dict):
            return self._scaled_by_symbol(target, said, path, policy)
        convert = decimals(target.scale, target.precision, _decimal(scale), bool(said.get("magnitude")))
        words = f"decimal({target.precision},{target.scale})"
        words += f" * {exactjson.spell(scale)}" if scale is not None else ""
        words += ", magnitude" if said.get("magnitude") else ""
        if policy == "round":
            return self._rounding(target, said, path, convert, words + ", rounded half-even if longer")
        return self._simple(target, said, path, convert, words)

    def _rounding(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert, words: str
    ) -> Field | None:
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        absent, fallback = _fallback(said, convert)
        name, expression = target.name, _expression(said)

        def read(item: Any, scope: Scope) -> Any:
            value = get(item, scope)
            if absent and (value is None or value == ""):
                return fallback
            try:
                return convert(value)
            except Overflow as error:
                try:
                    number = rounded(error.exact, target.scale, target.precision)
                except RecordError as still:
                    raise still.at(name, expression, value) from None
                scope.notes[f"{name}_exact"] = exactjson.spell(value)
                return number
            except RecordError as error:
                raise error.at(name, expression, value) from None

        return Field(name, read, expression, words, _default(said), speed)

    def _scaled_by_symbol(self, target: SchemaField, said: dict[str, Any], path: Path, policy: str) -> Field | None:
        rules: list[tuple[Condition | None, Convert]] = []
        for at, rule in enumerate(said["scale"]["by_symbol"]):
            place = (*path, "scale", "by_symbol", at, "when")
            match = compile_match(rule["when"], place, self.note) if "when" in rule else None
            if "when" in rule and match is None:
                return None
            convert = decimals(target.scale, target.precision, _decimal(rule["scale"]), bool(said.get("magnitude")))
            rules.append((match.condition if match else None, convert))
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        name, expression = target.name, _expression(said)

        def read(item: Any, scope: Scope) -> Any:
            value = get(item, scope)
            symbol = scope.symbol._asdict() if scope.symbol else None
            for condition, convert in rules:
                if condition is None or condition(symbol, scope):
                    try:
                        return convert(value)
                    except RecordError as error:
                        raise error.at(name, expression, value) from None
            raise RecordError(name, expression, value, "bad-number", "no scale rule is for this symbol")

        return Field(name, read, expression, f"decimal scaled by symbol, overflow: {policy}", None, speed)

    def _time(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        if said.get("from") == "$received_at":
            return Field(target.name, _received, "$received_at", "receipt time, marked in vendor_data")
        if "unit" not in said:
            text = "a time says its unit: {from: ..., unit: s|ms|us|ns|iso8601}"
            self.note(path, "time-unit", text)
            return None
        zone = said.get("zone")
        if zone is not None and not _is_zone(zone):
            self.note((*path, "zone"), "value", f"'{zone}' is no IANA time zone")
            return None
        convert = times(said["unit"], zone)
        words = f"time in {said['unit']}" + (f", zone {zone}" if zone else "")
        if said.get("absent") == "$received_at":
            return self._time_or_receipt(target, said, path, convert, words)
        return self._simple(target, said, path, convert, words)

    def _time_or_receipt(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert, words: str
    ) -> Field | None:
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        name, expression = target.name, _expression(said)

        def read(item: Any, scope: Scope) -> Any:
            value = get(item, scope)
            if value is None or value == "":
                return _received(item, scope)
            try:
                return convert(value)
            except RecordError as error:
                raise error.at(name, expression, value) from None

        return Field(name, read, expression, words, "$received_at", speed)

    def _enum(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        if "value" in said:
            return self._constant_enum(target, said, path)
        if "map" not in said and "sign" not in said:
            self.note(path, "side-map", "a side says what its values mean: {from: ..., map: {buy: BUY, sell: SELL}}")
            return None
        rules, place = (said["map"], "map") if "map" in said else (said["sign"], "sign")
        wrong = False
        for key, symbol in rules.items():
            if symbol not in target.symbols:
                self.note((*path, place, key), "side-map", f"'{symbol}' is no side{known(symbol, target.symbols)}")
                wrong = True
        found = self._getter(said, path)
        if wrong or found is None:
            return None
        get, speed = found
        strict = bool(said.get("strict"))
        read: Reader = (
            mapped_side(get, said["map"], strict, said.get("absent"))
            if "map" in said
            else signed_side(get, said["sign"]["positive"], said["sign"]["negative"], strict)
        )
        if "invert_when" in said:
            match = compile_match(said["invert_when"], (*path, "invert_when"), self.note)
            if match is None:
                return None
            read = inverted(read, match.condition)
        words = ", ".join(f"{key} -> {symbol}" for key, symbol in rules.items()) + (", strict" if strict else "")
        return Field(target.name, _placed(read, get, target.name, _expression(said)), _expression(said), words,
                     said.get("absent"), speed)

    def _constant_enum(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        symbol = said["value"]
        if symbol not in target.symbols:
            self.note((*path, "value"), "side-map", f"'{symbol}' is no {target.name}{known(symbol, target.symbols)}")
            return None
        return Field(target.name, lambda item, scope: symbol, symbol, "constant")

    def _list(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        if isinstance(value, list):
            return Field(target.name, lambda item, scope: value, exactjson.spell(value), "constant")
        return self._simple(target, {"from": value, "absent": []}, path, texts, "list of text")

    def _simple(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert, words: str
    ) -> Field | None:
        if "value" in said:
            try:
                constant = convert(said["value"])
            except RecordError as error:
                self.note((*path, "value"), "value", error.detail)
                return None
            return Field(target.name, lambda item, scope: constant, exactjson.spell(said["value"]), "constant")
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        try:
            absent, fallback = _fallback(said, convert)
        except RecordError as error:
            self.note((*path, "absent"), "value", error.detail)
            return None
        if not absent and target.nullable:
            absent, fallback = True, None
        read = _reader(get, convert, target.name, _expression(said), absent, fallback)
        default = _default(said) or ("null" if target.nullable else None)
        return Field(target.name, read, _expression(said), words, default, speed)

    # -- where the value comes from

    def _getter(self, said: dict[str, Any], path: Path) -> tuple[Getter, str] | None:
        place = (*path, "from") if "from" in said else path
        if "from" not in said:
            self.note(path, "missing", "the field says where it comes from: {from: EXPRESSION}")
            return None
        try:
            expression = compile_expression(said["from"])
        except ExpressionError as error:
            self.note(place, error.code, str(error) + _near(error))
            return None
        get = expression.get
        if "look_up" in said:
            get = _look_up(get, said["look_up"].removeprefix("$state."))
        if "pattern" in said:
            try:
                get = _cut(get, text_pattern(said["pattern"], "symbol" if path[-1] == "symbol" else "value"))
            except ValueError as error:
                self.note((*path, "pattern"), "pattern", str(error))
                return None
        if "case" in said:
            get = _cased(get, said["case"])
        return get, expression.speed


def _near(error: ExpressionError) -> str:
    from k2conn.spec.expressions import FUNCTION_NAMES, VARIABLES

    if error.code == "unknown-function":
        return known(error.name, FUNCTION_NAMES)
    if error.code == "unknown-name":
        return known(error.name, VARIABLES)
    return ""


def _reader(get: Getter, convert: Convert, name: str, expression: str, absent: bool, fallback: Any) -> Reader:
    def read(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        try:
            return convert(value)
        except RecordError as error:
            if absent and (value is None or value == ""):
                return fallback
            raise error.at(name, expression, value) from None

    return read


def _placed(read: Reader, get: Getter, name: str, expression: str) -> Reader:
    def placed(item: Any, scope: Scope) -> Any:
        try:
            return read(item, scope)
        except RecordError as error:
            raise error.at(name, expression, get(item, scope)) from None

    return placed


def _received(_: Any, scope: Scope) -> int:
    scope.notes["timestamp_source"] = "received"
    return scope.received_at


def _fallback(said: dict[str, Any], convert: Convert) -> tuple[bool, Any]:
    if "absent" not in said:
        return False, None
    absent = said["absent"]
    return True, absent if isinstance(absent, list) else None if absent is None else convert(absent)


def _default(said: dict[str, Any]) -> str | None:
    return exactjson.spell(said["absent"]) if "absent" in said else None


def _expression(said: dict[str, Any]) -> str:
    text = str(said["from"])
    if "look_up" in said:
        text += f" looked up in {said['look_up']}"
    if "pattern" in said:
        text += f" cut by {said['pattern']}"
    return text


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else read_number(value)


def _is_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _look_up(get: Getter, name: str) -> Getter:
    def look_up(item: Any, scope: Scope) -> Any:
        table = scope.state.get(name)
        key = get(item, scope)
        return table.get(exactjson.spell(key)) if isinstance(table, dict) and key is not None else None

    return look_up


def _cut(get: Getter, cut: Callable[[str], str | None]) -> Getter:
    def part(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        return cut(value) if type(value) is str else None

    return part


def _cased(get: Getter, case: str) -> Getter:
    change = str.upper if case == "upper" else str.lower

    def cased(item: Any, scope: Scope) -> Any:
        value = get(item, scope)
        return change(value) if type(value) is str else value

    return cased


def text(value: Any) -> str:
    """Text as it is, a whole number as its digits; anything else is no id."""
    if type(value) is str and value:
        return value
    if type(value) is int:
        return str(value)
    if value is None or value == "":
        raise RecordError(None, None, None, "missing-field", "the value is missing")
    raise RecordError(None, None, None, "bad-type", f"{exactjson.spell(value)[:40]} is neither text nor a whole number")


def texts(value: Any) -> list[str]:
    """A list of texts."""
    if type(value) is str:
        return [value]
    if type(value) is not list:
        raise RecordError(None, None, None, "bad-type", "not a list of text")
    return [exactjson.spell(one) for one in value]


def whole_number(value: Any) -> int:
    """A whole number that an Avro long can hold."""
    if type(value) is str and value.lstrip("-").isdecimal() and len(value) < 40:
        value = int(value)
    if type(value) is not int:
        raise RecordError(None, None, None, "missing-field" if value is None else "bad-type", "not a whole number")
    if not -(2**63) <= value < 2**63:
        raise RecordError(None, None, None, "overflow", "does not fit 64 bits")
    return value


__all__ = ["SIDES", "FieldCompiler", "text", "texts", "whole_number"]
