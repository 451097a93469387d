"""One v2 field: an author's `from` with its converter becomes a reader, ``(item, scope) -> the encoder's value``.

Which converter is decided by the field's kind in the record schema, so a new record type needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.compiler.converters.dates import DATE_UNITS, days
from k2conn.compiler.converters.decimals import decimals, plain_decimal, quotients, read_number
from k2conn.compiler.converters.names import named, truth
from k2conn.compiler.converters.patterns import text_pattern
from k2conn.compiler.converters.readers import (
    Convert,
    by_symbol,
    cased,
    cut_out,
    looked_up,
    or_absent,
    or_fallback,
    or_received,
    placed,
    reader,
    receipt_note,
    received,
    rounding,
    small_number,
    text,
    text_map,
    texts,
    whole_number,
)
from k2conn.compiler.converters.scales import POINT, SCALE_WORDS, punctuated, ratio, scaled_by_value
from k2conn.compiler.converters.sides import (
    inverted,
    mapped_side,
    plain_sign,
    quick_side,
    quick_sign,
    side_table,
    signed_side,
)
from k2conn.compiler.converters.times import PLAUSIBLE, UNITS, LocalTimes, nanoseconds, plain_time, times_in
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.conditions import compile_match
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.tables import looked_up_in
from k2conn.compiler.sections.texts import PutTogether, joined_parts, put_together
from k2conn.compiler.sections.times_of_day import compile_time_of_day
from k2conn.errors import RecordError
from k2conn.plan import Condition, DirectPath, FastConversion, Field, Getter, JoinedText, Reader, Separators
from k2conn.printable import visible
from k2conn.records import TIMES

_RECEIVED = "$received_at"
_SAME = {"from", "unit", "zone", "map", "signed", "magnitude", "absent", "pattern", "case"}
"""Words of a field that read nothing else."""


class FieldCompiler:
    """Compiles the fields of one connector's streams; a field with problems is None."""

    def __init__(self, note: CompileContext, on_overflow: str) -> None:
        self.note = note
        self.on_overflow = on_overflow

    def field(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        """One mapped field of the record."""
        said: dict[str, Any] = value if isinstance(value, dict) else {"from": value}
        field = self._field(target, value, said, path)
        return replace(field, of_symbol=True) if field is not None and _of_symbol(said) else field

    def _field(self, target: SchemaField, value: Any, said: dict[str, Any], path: Path) -> Field | None:
        kind = target.kind
        if "value" in said and said["value"] is None:
            return self._null(target, said, path)
        if kind == "decimal":
            return self._decimal(target, said, path)
        if kind in TIMES:
            return self._time(target, said, path)
        if kind == "enum":
            return self._enum(target, said, path)
        if kind == "boolean":
            return self._boolean(target, said, path)
        if kind == "array<string>":
            return self._list(target, value, path)
        if kind == "map<string>":
            said = said if target.nullable else {"absent": {}, **said}
            return self._simple(target, said, path, text_map, "map of text")
        if kind == "long":
            fast = FastConversion("whole", below=2**63 - 1)
            return self._simple(target, said, path, whole_number, "whole number", fast)
        if kind == "int":
            return self._simple(target, said, path, small_number, "whole number", FastConversion("whole", below=2**31))
        if kind == "string":
            return self._simple(target, said, path, text, "text", FastConversion("text"))
        self.note(path, "value", f"nothing fills a field of the kind {kind}: take '{target.name}' out", at_key=True)
        return None

    def _null(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        """A field that the venue has nothing for."""
        if "from" in said:
            self.note((*path, "value"), "value", "a field has `from` or `value`, not both", at_key=True)
        elif not target.nullable:
            self.note((*path, "value"), "value", f"the {target.name} field is never empty")
        else:
            return Field(target.name, lambda item, scope: None, "null", "constant")
        return None

    def remainder(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        """The nanoseconds of a time beyond its microseconds: said as the time is."""
        said: dict[str, Any] = value if isinstance(value, dict) else {"from": value}
        if "value" in said and said["value"] is None:
            return self._null(target, said, path)
        if said.get("from") == _RECEIVED or said.get("unit") not in UNITS:
            text = f"a {target.name} is cut out of a time: {{from: EXPRESSION, unit: one of {', '.join(UNITS)}}}"
            self.note(path, "time-unit", text)
            return None
        zone = said.get("zone")
        if zone is not None and not self._zone(zone, said["unit"], (*path, "zone")):
            return None
        convert = nanoseconds(said["unit"], zone, said.get("ambiguous"))
        how = FastConversion("nanoseconds") if said["unit"] == "iso8601" else None
        return self._simple(target, said, path, convert, f"nanoseconds of a time in {said['unit']}", how)

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

        direct = _direct({"from": value}, get, exactjson.spell)
        joined = JoinedText(((None, None, 0, None, value[1:]),)) if value in ("$file", "$row") else None
        return Field(name, read, value, "JSON spelling", speed=speed, joined=joined, direct=direct,
                     of_symbol=_of_symbol({"from": value}))

    # -- numbers

    def _decimal(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        separators = _separators(said)
        if separators is None:
            return self._number_field(target, said, path)
        thousands, mark = separators
        if thousands == mark:
            text = f"`{mark}` cannot stand between groups of digits and before the decimals"
            text += ': where it stands between groups, say what stands before the decimals, `decimal: ","`' \
                if "decimal" not in said else ""
            self.note((*path, "thousands"), "value", text, at_key=True)
            return None
        found = self._number_field(target, said, path)
        words = f", groups of digits by '{visible(thousands)}'" if thousands else ""
        words += f", decimals after '{mark}'" if mark != POINT else ""
        return found and replace(found, separators=separators, converter=found.converter + words)

    def _number_field(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        scale, magnitude, signed = said.get("scale"), said.get("magnitude") is True, said.get("signed") is True
        if magnitude and signed:
            self.note((*path, "signed"), "value", "`magnitude` drops the sign: say one of the two", at_key=True)
            return None
        if isinstance(scale, dict) and "by_symbol" in scale:
            found = self._scaled_by_symbol(target, said, path, magnitude, signed)
        elif isinstance(scale, (dict, str)):
            found = self._scaled_by_value(target, said, path)
        else:
            words = f" * {exactjson.spell(scale)}" if scale is not None else ""
            words = f"decimal({target.precision},{target.scale}){words}"
            words += ", magnitude" if magnitude else ", signed" if signed else ""
            how = None
            if _separators(said) is None:
                how = plain_decimal(target.scale, target.precision, _exact(scale), magnitude, signed)
            convert = _number(target, said, _exact(scale))
            found = self._simple(target, said, path, convert, words, how)
        if found is None or said.get("on_overflow", self.on_overflow) != "round" or "value" in said:
            return found
        got = self._getter(said, path)
        if got is None:
            return None
        by = self._scale(scale, "divide_by", path) if isinstance(scale, dict) and "divide_by" in scale else None
        spoken = got[0] if by is None else ratio(got[0], by)
        plain = {"scale", "magnitude", "signed", "thousands", "decimal"}.isdisjoint(said)
        read = rounding(found.read, spoken, target.name, target.scale, target.precision, plain)
        words = found.converter + ", rounded half-even if longer"
        # What fits needs no rounding; for what does not, the quick converter has no answer.
        direct = found.direct._replace(rounded=True) if found.direct is not None else None
        if direct is not None and direct.conversion is not None and plain:
            direct = direct._replace(conversion=direct.conversion._replace(rounds=target.name))
        return Field(target.name, read, found.expression, words, found.absent, found.speed, direct=direct)

    def _scaled_by_symbol(
        self, target: SchemaField, said: dict[str, Any], path: Path, magnitude: bool, signed: bool
    ) -> Field | None:
        rules: list[tuple[Condition | None, Convert]] = []
        wrong = False
        for at, rule in enumerate(said["scale"]["by_symbol"]):
            place = (*path, "scale", "by_symbol", at, "when")
            match = compile_match(rule["when"], place, self.note) if "when" in rule else None
            wrong = wrong or ("when" in rule and match is None)
            convert = _number(target, said, _exact(rule["scale"]))
            rules.append((match.condition if match else None, convert))
        found = self._getter(said, path)
        absent = self._absent(target, said, path, decimals(target.scale, target.precision))
        if wrong or found is None or absent is None:
            return None
        get, speed = found
        expression = _expression(said)
        read = by_symbol(get, tuple(rules), target.name, expression, *absent)
        scales = [exactjson.spell(one["scale"]) + _when(one) for one in said["scale"]["by_symbol"]]
        words = f"decimal({target.precision},{target.scale}) * {', '.join(scales)}"
        words += ", magnitude" if magnitude else ", signed" if signed else ""
        return Field(target.name, read, expression, words, _default(said), speed)

    def _scaled_by_value(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        """A number whose scale the venue says."""
        scale = said["scale"] if isinstance(said["scale"], dict) else {"from": said["scale"]}
        said_by = [word for word in SCALE_WORDS if word in scale]
        if len(said_by) != 1:
            text = "a scale is one of `from` (what to multiply by), `divide_by`, `digits` (how many stand behind the " \
                   "point) and `exponent` (the power of ten)"
            self.note((*path, "scale"), "value", text)
            return None
        word = SCALE_WORDS[said_by[0]]
        get = self._scale(scale, said_by[0], path, whole=not isinstance(said["scale"], dict))
        found = self._getter(said, path)
        absent = self._absent(target, said, path, decimals(target.scale, target.precision))
        if get is None or found is None or absent is None:
            return None
        expression = _expression(said)
        read = scaled_by_value(
            found[0], get, word.factor, lambda one: _number(target, said, one, word.divides), target.name, expression,
            *absent
        )
        words = f"decimal({target.precision},{target.scale}), {word.text.format(scale[said_by[0]])}"
        words += f" looked up in {scale['look_up']}" if "look_up" in scale else ""
        return Field(target.name, read, expression, words, _default(said), found[1])

    def _scale(self, scale: dict[str, Any], word: str, path: Path, whole: bool = False) -> Getter | None:
        """Where the venue says a scale; ``whole``: the expression stands where the map would."""
        by = self.note.expression(scale[word], (*path, "scale") if whole else (*path, "scale", word))
        if by is None or "look_up" not in scale:
            return by.get if by is not None else None
        return self._looked_up_by(by.get, scale["look_up"], (*path, "scale", "look_up"))

    # -- times

    def _time(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        if said.get("from") == _RECEIVED:
            read = received(target.name, TIMES[target.kind])
            return Field(target.name, read, _RECEIVED, "receipt time, marked in vendor_data", receipt=_receipt(target))
        if "unit" not in said:
            shown = said.get("from", "EXPRESSION")
            text = f"a time says its unit: {{from: {shown}, unit: one of {', '.join(UNITS)}}}"
            self.note(path, "time-unit", text)
            return None
        if said["unit"] in DATE_UNITS:
            return self._date(target, said, path)
        zone = said.get("zone")
        if zone is not None and not self._zone(zone, "iso8601" if "date" in said else said["unit"], (*path, "zone")):
            return None
        if "date" in said:
            return compile_time_of_day(self.note, target, said, self._getter(said, path), path)
        if "ambiguous" in said and zone is None:
            self.note((*path, "ambiguous"), "value", "`ambiguous` is about local times: say their `zone`", at_key=True)
            return None
        least = 0 if target.nullable else PLAUSIBLE  # where there may be none, 0 is a venue's word for that
        convert = times_in(target.kind, said["unit"], zone, said.get("ambiguous"), least)
        words = f"{'date' if target.kind == 'date' else 'time'} in {said['unit']}" + (f", zone {zone}" if zone else "")
        if said.get("absent") != _RECEIVED:
            return self._simple(target, said, path, convert, words, plain_time(said["unit"], target.kind, least))
        found = self._getter(said, path)
        if found is None:
            return None
        get, speed = found
        known = reader(get, convert, target.name, _expression(said), False, None)
        read = or_received(known, get, received(target.name, TIMES[target.kind]))
        direct = _direct(said, get, convert, plain_time(said["unit"], target.kind, least))
        return Field(target.name, read, _expression(said), words, _RECEIVED, speed, direct=direct,
                     receipt=_receipt(target))

    def _date(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        """A date as names of instruments have it."""
        unit, text = said["unit"], ""
        if target.kind != "date":
            text = f"{unit} is for dates: the unit of a {target.name} is one of {', '.join(UNITS)}"
        elif "zone" in said or "ambiguous" in said or said.get("absent") == _RECEIVED:
            text = f"a date as {unit} is a day and no moment: it has no zone, and none of receipt"
        if text:
            self.note((*path, "unit"), "time-unit", text)
            return None
        return self._simple(target, said, path, days(unit), f"date as {unit}")

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
        if not target.is_side:
            return self._names(target, said, path)
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
        read = _side(get, said, target.name)
        if invert:
            read = inverted(read, invert.condition)
        expression = _expression(said)
        words = ", ".join(f"{key} -> {symbol}" for key, symbol in rules.items())
        words += ", strict" if said.get("strict") else ""
        words += f", inverted when {invert.text}" if invert else ""
        quick = None
        if "map" in said and not invert:
            quick = _direct(said, get, quick_side(said["map"]), FastConversion("named", table=side_table(said["map"])))
        elif "sign" in said and not invert:
            names = said["sign"]["positive"], said["sign"]["negative"]
            quick = _direct(said, get, quick_sign(*names), plain_sign(*names))
        return Field(target.name, placed(read, get, target.name, expression), expression, words,
                     said.get("absent"), speed, direct=quick, words=_words(said, said.get("map", ())))

    def _names(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        """An enum that is no side: the venue's words are its names, or `map` says what they mean."""
        table: dict[str, str] = said.get("map", {name: name for name in target.symbols})
        wrong = [self._wrong_symbol(target, name, (*path, "map", key)) for key, name in table.items()]
        absent = said.get("absent")
        if "absent" in said and not (absent is None and target.nullable):
            wrong.append(self._wrong_symbol(target, absent, (*path, "absent")))
        found = self._getter(said, path)
        if any(wrong) or found is None:
            return None
        get, speed = found
        expression = _expression(said)
        words = ", ".join(f"{key} -> {name}" for key, name in table.items()) if "map" in said else "one of its names"
        how = FastConversion("named", table=side_table(table))
        if "UNKNOWN" in target.symbols:
            known = mapped_side(get, table, said.get("strict") is True, absent, target.name)
            read, quick = placed(known, get, target.name, expression), quick_side(table)
            return Field(target.name, read, expression, words, absent, speed, direct=_direct(said, get, quick, how),
                         words=_words(said, table))
        return self._looked_up(target, said, found, named(table), how, words)

    def _looked_up(
        self, target: SchemaField, said: dict[str, Any], found: tuple[Getter, str], convert: Convert,
        how: FastConversion, words: str,
    ) -> Field:
        """A field whose values stand in a table; `absent` is what the field becomes, not a value to look up."""
        get, speed = found
        optional, absent, expression = target.nullable or "absent" in said, said.get("absent"), _expression(said)
        read = reader(get, convert, target.name, expression, optional, absent)
        default = _default(said) or ("null" if target.nullable else None)
        quick = or_absent(convert, absent) if optional else convert
        return Field(target.name, read, expression, words, default, speed, direct=_direct(said, get, quick, how),
                     words=_words(said, how.table or ()))

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

    def _boolean(self, target: SchemaField, said: dict[str, Any], path: Path) -> Field | None:
        """True or false as JSON has it; `map` says what other values mean."""
        table: dict[str, bool] = said.get("map", {"true": True, "false": False})
        words = ", ".join(f"{key} -> {exactjson.spell(value)}" for key, value in table.items())
        words = words if "map" in said else "true or false"
        how = FastConversion("named", table=side_table(table))
        if "absent" in said or "value" in said:
            key = "absent" if "absent" in said else "value"
            if type(said[key]) is not bool and not (key == "absent" and said[key] is None and target.nullable):
                self.note((*path, key), "value", f"a {target.name} is true or false")
                return None
        if "value" in said:
            return self._constant(target, said, path, truth({"true": True, "false": False}))
        found = self._getter(said, path)
        return None if found is None else self._looked_up(target, said, found, truth(table), how, words)

    # -- text, whole numbers, lists

    def _list(self, target: SchemaField, value: Any, path: Path) -> Field | None:
        if isinstance(value, list):
            return Field(target.name, lambda item, scope: value, exactjson.spell(value), "constant")
        fallback: list[str] | None = None if target.nullable else []
        said = {"from": value, "absent": fallback}
        return self._simple(target, said, path, texts, "list of text", FastConversion("list"))

    def _simple(
        self, target: SchemaField, said: dict[str, Any], path: Path, convert: Convert, words: str,
        how: FastConversion | None = None,
    ) -> Field | None:
        if "value" in said:
            return self._constant(target, said, path, convert)
        found = self._source(said, path)
        absent = self._absent(target, said, path, convert)
        if found is None or absent is None:
            return None
        get, speed, parts = found
        default = _default(said) or ("null" if target.nullable else None)
        quick = or_fallback(convert, absent[1]) if absent[0] else convert
        read = reader(get, quick, target.name, _expression(said), *absent)
        joined = None
        if parts is not None and isinstance(convert, LocalTimes):
            joined = JoinedText(parts, convert.minutes)
        elif parts is not None and convert is text:
            joined = JoinedText(parts)
        cut = parts is not None and "from" in said and all(known is not None for _, known, *_ in parts)
        direct, of_file = _direct(said, get, quick, how, cut), said["from"] == "$file" if "text" not in said else False
        return Field(target.name, read, _expression(said), words, default, speed, of_file, joined, direct)

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
        if absent in ([], {}):
            return True, absent
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
        found = self._source(said, path)
        return None if found is None else found[:2]

    def _source(self, said: dict[str, Any], path: Path) -> PutTogether | None:
        if "from" not in said and "text" not in said:
            self.note(path, "missing", "the field says where it comes from: {from: EXPRESSION}, or {value: CONSTANT}")
            return None
        get, speed, parts = None, "plain", None
        if "from" in said:
            place = path if (*path, "from") not in self.note.document.places else (*path, "from")
            expression = self.note.expression(said["from"], place)
            if expression is None:
                return None
            get, speed, parts = expression.get, expression.speed, joined_parts(expression.tree)
        if "text" in said:
            try:
                get, speed, parts = put_together(said, get)
            except ValueError as error:
                code = error.code if isinstance(error, ExpressionError) else "value"
                self.note((*path, "text"), code, f"the text '{short(said['text'])}': {error}")
                return None
        assert get is not None
        if "look_up" in said:
            found = self._looked_up_by(get, said["look_up"], (*path, "look_up"))
            if found is None:
                return None
            get = found
        if "pattern" in said and "text" not in said:
            try:
                get = cut_out(get, text_pattern(said["pattern"], "symbol" if path[-1] == "symbol" else "value"))
            except ValueError as error:
                self.note((*path, "pattern"), "pattern", str(error))
                return None
        if "case" in said:
            get = cased(get, said["case"])
        changed = {"look_up", "case"} & set(said) or ("pattern" in said and "text" not in said)
        return PutTogether(get, speed, None if changed else parts)

    def _looked_up_by(self, get: Getter, word: str, path: Path) -> Getter | None:
        """What stands beside a value in a captured table, or in one of `tables:`; None after noting that it is none."""
        kind, _, name = word.removeprefix("$").partition(".")
        if kind == "state":
            self.note.state(name, path)
            return looked_up(get, name)
        if name not in self.note.tables:
            hint = known(name, self.note.tables) or ": say it in `tables:`"
            self.note(path, "unknown-name", f"there is no table '{short(name)}'{hint}")
            return None
        return looked_up_in(get, name, self.note.tables[name], exactjson.spell)


def _receipt(target: SchemaField) -> str:
    """What is noted where the receipt time stands for a field's own; nothing where that is in another unit."""
    return receipt_note(target.name) if TIMES[target.kind] == 1 else ""


def _of_symbol(said: dict[str, Any]) -> bool:
    """Whether a field is read of the symbol alone."""
    words, text = {*said} - {"scale"}, said.get("from")
    same = words <= _SAME and not isinstance(said.get("scale"), str | dict) and said.get("absent") != _RECEIVED
    return same and isinstance(text, str) and compile_expression(text).of_symbol


def _side(get: Getter, said: dict[str, Any], name: str) -> Reader:
    strict, absent = said.get("strict") is True, said.get("absent")
    if "map" in said:
        return mapped_side(get, said["map"], strict, absent, name)
    return signed_side(get, said["sign"]["positive"], said["sign"]["negative"], strict, absent, name)


def _words(said: dict[str, Any], table: Iterable[Any]) -> frozenset[str]:
    """The texts that a field with a table knows, as they stand in a message."""
    if {"look_up", "pattern", "case", "text"} & set(said):
        return frozenset()
    return frozenset(one for one in table if isinstance(one, str))


def _direct(
    said: dict[str, Any], get: Getter, quick: Convert, how: FastConversion | None = None, cut: bool = False
) -> DirectPath | None:
    """What finds the value of a field, and the quick converter; None where expressions are interpreted: that way has
    nothing quick. ``cut``: a text is put together of nothing but parts that its pattern cuts.
    """
    expression = compile_expression(said.get("from", "@"))
    if expression.tree is None:
        return None
    steps = {"look_up", "pattern", "case", "text"} & set(said)
    source = expression.get if steps and ("text" not in steps or cut) else None
    captured = str(said.get("look_up", "")).startswith("$state.") or "state" in expression.variables
    return DirectPath(() if steps else expression.paths, get, quick, how, source=source, captured=captured)


def _default(said: dict[str, Any]) -> str | None:
    return exactjson.spell(said["absent"]) if "absent" in said else None


def _expression(said: dict[str, Any]) -> str:
    words = str(said["text"] if "text" in said else said["from"])
    if "look_up" in said:
        words += f" looked up in {said['look_up']}"
    if "pattern" in said:
        words += f" of {said['from']}" if "text" in said else ""
        words += f" cut by {said['pattern']}"
    return words


def _when(rule: dict[str, Any]) -> str:
    """The condition of a rule, in words; nothing where it has none."""
    when = rule.get("when")
    return f" when {when if isinstance(when, str) else exactjson.spell(when)}" if when is not None else ""


def _number(target: SchemaField, said: dict[str, Any], factor: Decimal | None, divides: bool = False) -> Convert:
    """The converter of a number to a field, by what is said of its sign and its separators."""
    magnitude, signed = said.get("magnitude") is True, said.get("signed") is True
    if divides and factor is not None:
        convert = quotients(target.scale, target.precision, factor, magnitude, signed)
    else:
        convert = decimals(target.scale, target.precision, factor, magnitude, signed)
    separators = _separators(said)
    return punctuated(convert, separators) if separators is not None else convert


def _separators(said: dict[str, Any]) -> Separators | None:
    """What is said of the separators in a number; None where nothing is."""
    found = Separators(said.get("thousands", ""), said.get("decimal", POINT))
    return found if found != ("", POINT) else None


def _exact(value: Any) -> Decimal | None:
    """A factor; None where there is none, or it is no number, which the schema has refused."""
    try:
        return None if value is None else read_number(value)
    except RecordError:
        return None
