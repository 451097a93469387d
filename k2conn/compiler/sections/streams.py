"""Compiles ``streams:``: how messages are recognised, where their items are, and how an item becomes a record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import Expression, compile_expression
from k2conn.compiler.expressions.item_forms import item_forms
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.audits import compile_audit
from k2conn.compiler.sections.carries import CarryCompiler
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.fields import FieldCompiler
from k2conn.compiler.sections.id_scopes import compile_id_scope
from k2conn.compiler.sections.intervals import OfInterval
from k2conn.compiler.sections.parts import SectionCompiler
from k2conn.compiler.sections.references import referring
from k2conn.compiler.sections.revisions import says_null, used_revision
from k2conn.compiler.sections.sequences import SequenceCompiler
from k2conn.compiler.sections.spans import NEXT, SpanCompiler
from k2conn.compiler.sections.texts import text_expressions
from k2conn.intervals import Interval
from k2conn.plan import Field, Level, Match, Stream, Template
from k2conn.records import ENGINE_ONLY, RecordType, known_records, load_record

TOPIC = "market.{asset_class}.{data_type}.{exchange}"
_ORDERS = ("oldest-first", "newest-first")
_PLACES = ("asset_class", "data_type", "exchange", "stream")


class StreamCompiler(SectionCompiler):
    """Compiles the streams of one connector."""

    def __init__(
        self, note: CompileContext, spec: dict[str, Any], of_interval: Mapping[str, OfInterval] | None = None
    ) -> None:
        """``of_interval``: the streams that are one interval of what the file says."""
        super().__init__(note)
        self.spec = spec
        self._of_interval = of_interval or {}
        overflow = spec.get("on_overflow", "dead_letter") if note.sound(("on_overflow",)) else "dead_letter"
        self.fields = FieldCompiler(note, overflow)
        self.sequences = SequenceCompiler(note)

    def stream(self, name: str, whole: dict[str, Any]) -> Stream | None:
        """One stream; None after noting what is wrong."""
        path: Path = ("streams", name)
        record = self._record(name, whole, path)
        if record is None or not self.note.reachable((*path, "fields")):
            return None
        said = self.note.pruned(whole, path)
        mapping = self.note.pruned(whole["fields"], (*path, "fields"))
        when = self._match(said, "when", path)
        levels = self.levels(said, path)
        order, other_order_when = self._order(said, path)
        spans = self.spans(name, record)
        spans.check(said, mapping, path)
        own = self._mapped(record, whole, mapping, path, spans.given(said))
        fields = spans.completed(own)
        self.check_names(record, whole, path)
        symbol = self.text("symbol", mapping, path)
        identity = self.text(record.profile.id, mapping, path) if record.profile.id else None
        snapshot, action = self._snapshot(said, path)
        currency = self.text("currency", mapping, path) if "currency" in record.profile.engine else None
        topic = self._topic(said, path)
        kafka_topics = self._kafka_topics(record, name, said, path)
        drop_when = self._match(said, "drop_when", path)
        vendor = tuple(self.vendor(said, path))
        if "vendor_data" in said and "vendor_data" not in record.profile.engine:
            text = f"the {record.name} record has no vendor_data: take it out"
            self.note((*path, "vendor_data"), "unknown-field", text, at_key=True)
        identity_fields = self._identity_fields(record, whole, said, path)
        if "empty" in said and not record.profile.never_all_zero:
            text = f"a {record.name} record may be all zeros: take it out"
            self.note((*path, "empty"), "value", text, at_key=True)
        carry = CarryCompiler(self.note, self.fields).carry(record, said, mapping, path)
        sequence = self.sequences.sequence(said, path, spans, fields)
        constants = self._constants(record, name, path) | self._interval_of(name, record)
        expressions = self.expressions(said, mapping)
        if len(levels) < 2 and any("parent" in one.variables for one in expressions):
            text = "$parent is what an item was found in, where `each` has several levels: here $message is"
            self.note((*path, "fields"), "unknown-name", text, at_key=True)
        spanned = name in self._of_interval
        audit = compile_audit(self.note, self.spec, said, record, frozenset(mapping), path) if spanned else None
        if audit is None and "audit" in said and not spanned:
            self.note((*path, "audit"), "value", "`audit` is for candles with `intervals`", at_key=True)
        if when is None or symbol is None or kafka_topics is None:
            return None
        return Stream(
            name=name,
            record=record.name,
            revision=record.revision,
            id_scope=compile_id_scope(self.note, record, said, mapping, path),
            default=said.get("default", True),
            also=said.get("also", False),
            when=when,
            kafka_topic=kafka_topics[self.spec["asset_class"]],
            kafka_topics=kafka_topics,
            topic=topic,
            each=levels[0].get if levels else None,
            each_text=levels[0].text if levels else "the message",
            each_key=any(one.variables & {"key", "keys"} for one in expressions),
            order=order,
            drop_when=drop_when,
            snapshot=snapshot,
            snapshot_action=action,
            first_batch=said.get("first_batch", "keep"),
            symbol=symbol,
            venue_id=identity,
            identity=identity_fields,
            fields=tuple(fields[one.name] for one in record.schema.fields if one.name in fields),
            constants=constants,
            currency=currency,
            vendor_data=vendor,
            unmapped=said.get("unmapped", "keep") == "keep",
            mapped_keys=frozenset().union(*(one.heads for one in expressions)),
            carry=carry,
            sequence=sequence,
            message_id=said.get("message_id", "deterministic"),
            stale_after=self._stale_after(said, path),
            declared=self._of_interval[name].stream if name in self._of_interval else "",
            span=spans.span(own),
            states=spans.states(said, fields),
            distinct=isinstance(said.get("identity"), dict),
            empty=said.get("empty", "dead_letter"),
            forms=item_forms(levels[0].tree) if levels else None,
            inner=tuple(Level(one.get, one.text) for one in levels[1:]),
            other_order_when=other_order_when,
            audit=audit,
            lines=self._lines(whole, path),
        )

    def _lines(self, whole: dict[str, Any], path: Path) -> dict[str, int]:
        """The lines of what maps, for whoever tells of an item that does not."""
        place = self.note.document.place
        own = {name: place((*path, name), at_key=True)[0] for name in ("each", "when") if name in whole}
        return own | {name: place((*path, "fields", name), at_key=True)[0] for name in whole["fields"]}

    def spans(self, name: str, record: RecordType) -> SpanCompiler:
        """The compiler of what a stream says of spans of time."""
        made = self._of_interval.get(name)
        if made is None:
            return SpanCompiler(self.note, record, None)
        return SpanCompiler(self.note, record, Interval(made.interval), made.venue)

    def _interval_of(self, name: str, record: RecordType) -> dict[str, Any]:
        field, made = record.profile.interval, self._of_interval.get(name)
        return {field: made.interval} if field is not None and made is not None else {}

    def _record(self, name: str, said: dict[str, Any], path: Path) -> RecordType | None:
        record = said.get("record", name)
        if not self.note.sound((*path, "record")):
            return None
        records = known_records("connectors")
        if record in records:
            return used_revision(record, said, self._asset_classes())
        if "record" in said:
            text = f"'{short(record)}' is no record type{known(record, records)}"
            self.note((*path, "record"), "record", text)
        else:
            text = f"'{name}' is no record type: say `record:` with one of {', '.join(records)}"
            self.note(path, "record", text, at_key=True)
        return None

    # -- fields

    def _mapped(
        self, record: RecordType, whole: dict[str, Any], mapping: dict[str, Any], path: Path, given: frozenset[str]
    ) -> dict[str, Field]:
        """The fields that are mapped, by name, but for those kept apart; what is missing is noted, unless it is
        ``given`` by something else.
        """
        place = (*path, "fields")
        found: list[Field | None] = []
        mapped = record.mapped
        for field in record.schema.fields:
            if field.name in mapping and field in mapped:
                found.append(self.mapped_field(record, field, mapping[field.name], (*place, field.name)))
            elif field.name not in given and self._required(field.name, record, whole):
                hint = _without(field, record)
                self.note(place, "unmapped-field", f"the {record.name} record needs '{field.name}'{hint}", at_key=True)
        if not (record.profile.id or record.profile.key or record.profile.identity or "identity" in whole):
            text = f"the {record.name} record has no id of the venue's: say what tells records apart, `identity: [...]`"
            self.note(place, "unmapped-field", text, at_key=True)
        return {field.name: field for field in found if field}

    def mapped_field(self, record: RecordType, field: SchemaField, said: Any, path: Path) -> Field | None:
        """One of the record's own fields, by what it is for. Where an earlier revision has it always, it is null only
        where the file says so: a key that is misspelt is another thing.
        """
        profile = record.profile
        if field.name == profile.remainder:
            return self.fields.remainder(field, said, path)
        if field.name in record.once_required and not says_null(said):
            field = replace(field, nullable=False)
        found = self.fields.field(field, said, path)
        if found is not None and field.name == profile.reference:
            return referring(found, str(self.spec["exchange"]))
        return found

    def check_names(self, record: RecordType, whole: dict[str, Any], path: Path) -> None:
        """Notes the fields that the record has in no revision."""
        names = load_record(record.name).authored
        for name in whole["fields"]:
            if name in names:
                continue  # before a near match is looked for, which takes long
            text = f"'{short(name)}' is no field of the {record.name} record{known(name, names)}"
            if name in ENGINE_ONLY:
                text = f"'{name}' is filled by the engine: take it out"
            self.note((*path, "fields", name), "unknown-field", text, at_key=True)

    @staticmethod
    def _required(name: str, record: RecordType, said: dict[str, Any]) -> bool:
        if name in said["fields"]:
            return False
        if name == record.profile.id:
            return "identity" not in said and not record.profile.identity
        return record.needed(name)

    def text(self, name: str, mapping: dict[str, Any], path: Path) -> Field | None:
        """One of the fields that the plan keeps apart: text, whatever the schema."""
        if name not in mapping:
            return None
        return self.fields.field(SchemaField(name, "string"), mapping[name], (*path, "fields", name))

    def _constants(self, record: RecordType, name: str, path: Path) -> dict[str, Any]:
        """The fields that are the same in all records of a stream; what does not fit the schema is noted."""
        values = {
            "exchange": self.spec["exchange"], "asset_class": self.spec["asset_class"],
            "connector": self.spec.get("connector", ""), "stream": name,
        }
        if "asset_class" in record.profile.engine and record.field("asset_class").kind == "enum":
            symbols = record.field("asset_class").symbols
            for one in self._asset_classes():
                if one not in symbols:
                    text = f"'{short(one)}' is no asset class of the {record.name} record{known(one, symbols)}"
                    self.note(path, "value", text, at_key=True)
        return {key: value for key, value in values.items() if key in record.profile.engine}

    def _identity_fields(
        self, record: RecordType, whole: dict[str, Any], said: dict[str, Any], path: Path
    ) -> tuple[str, ...]:
        if "identity" not in said:
            return () if record.profile.id in whole["fields"] else record.profile.identity
        listed, place = said["identity"], (*path, "identity")
        if isinstance(listed, dict):
            listed, place = listed["distinct"], (*place, "distinct")
        names = tuple(listed)
        mapped = [name for name in record.authored if name in whole["fields"]]
        for at, name in enumerate(names):
            if name not in mapped:
                text = f"'{short(name)}' is no mapped field{known(name, mapped)}"
                self.note((*place, at), "unknown-field", text)
        return names

    def vendor(self, said: dict[str, Any], path: Path) -> Iterator[Field]:
        """What is kept besides the record's own fields."""
        place = (*path, "vendor_data")
        wanted = said.get("vendor_data", [])
        if isinstance(wanted, list):
            entries = [(key, _quoted(key), (*place, at)) for at, key in enumerate(wanted)]
        else:
            entries = [(key, value, (*place, key)) for key, value in wanted.items()]
        for name, value, where in entries:
            found = self.fields.vendor(name, value, where)
            if found:
                yield found

    @staticmethod
    def expressions(said: dict[str, Any], mapping: dict[str, Any]) -> list[Expression]:
        """The usable expressions of all fields and vendor entries."""
        wanted = said.get("vendor_data", [])
        kept = [_quoted(key) for key in wanted] if isinstance(wanted, list) else list(wanted.values())
        found: list[Expression] = []
        for value in (*mapping.values(), *kept):
            if isinstance(value, dict) and isinstance(value.get("text"), str):
                found += text_expressions(value)
            for text in _texts(value):
                try:
                    found.append(compile_expression(text))
                except ExpressionError:
                    continue  # reported where the field itself is compiled
        return found

    # -- the rest of a stream

    def _expression(self, said: dict[str, Any], key: str, path: Path) -> Expression | None:
        return self.note.expression(said[key], (*path, key)) if key in said else None

    def levels(self, said: dict[str, Any], path: Path) -> list[Expression]:
        """Where the items are, from outside in: `each` is one expression, or a list of them."""
        if not isinstance(said.get("each"), list):
            each = self._expression(said, "each", path)
            return [each] if each is not None else []
        found = [self.note.expression(text, place) for text, place in self.note.entries(said, "each", path)]
        return [one for one in found if one is not None]

    def _order(self, said: dict[str, Any], path: Path) -> tuple[str, Match | None]:
        """The order of items, and the messages in which it is the other one."""
        order = said.get("order", _ORDERS[0])
        if isinstance(order, str):
            return order, None
        (other, when), = order.items()
        usual = next(one for one in _ORDERS if one.replace("-", "_") != other)
        return usual, self._match({other: when}, other, (*path, "order"))

    def _snapshot(self, said: dict[str, Any], path: Path) -> tuple[Match | None, str]:
        """`snapshot` is a condition, or a map with the condition in `when`."""
        value = said.get("snapshot")
        if isinstance(value, dict) and "when" in value:
            return self._match(value, "when", (*path, "snapshot")), str(value.get("action", "tag"))
        return self._match(said, "snapshot", path), "tag"

    def _stale_after(self, said: dict[str, Any], path: Path) -> float | None:
        return self.note.read(duration, said.get("stale_after", "0"), (*path, "stale_after")) or None

    def _topic(self, said: dict[str, Any], path: Path) -> Template | None:
        if "topic" not in said:
            return None
        compiled = self.note.template(said["topic"], (*path, "topic"), ("symbol", "env"))
        return compiled.render if compiled else None

    def _kafka_topics(
        self, record: RecordType, name: str, said: dict[str, Any], path: Path
    ) -> dict[str, str] | None:
        """The Kafka topic of each asset class; None after noting what is wrong with the template."""
        own = "kafka_topic" in said
        place = (*path, "kafka_topic") if own else ("kafka_topic",)
        template: str = said["kafka_topic"] if own else TOPIC
        if not own and "kafka_topic" in self.spec and self.note.sound(place):
            template = self.spec["kafka_topic"]
        rest = template
        for one in _PLACES:
            rest = rest.replace(f"{{{one}}}", "")
        wrong = re.findall(r"\{([^{}]*)\}?|\}", rest)
        for one in dict.fromkeys(wrong):
            names = known(f"{{{one}}}", [f"{{{name}}}" for name in _PLACES])
            text = f"unknown placeholder {{{short(one)}}}{names}" if one else f"a brace that belongs to no name{names}"
            self.note(place, "unknown-placeholder", text, offset=template.find("{" + one))
        if wrong:
            return None
        topics: dict[str, str] = {
            one: template.format(
                asset_class=one,
                data_type=record.profile.plural,
                exchange=self.spec["exchange"].lower(),
                stream=name,
            )
            for one in self._asset_classes()
        }
        for topic in topics.values():
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", topic) or topic in (".", ".."):
                text = f"'{short(topic)}' is no Kafka topic name: letters, digits, '.', '_', '-', at most 200 of them"
                self.note(place, "value", text)
                return None
        return topics

    def _asset_classes(self) -> list[str]:
        """The connector's own asset class first, then those of its forms and of its table."""
        said = self.spec.get("symbols")
        symbols = said if isinstance(said, dict) else {}
        forms, table = symbols.get("form", []), symbols.get("table", {})
        rows = [*(forms if isinstance(forms, list) else [forms]), *(table.values() if isinstance(table, dict) else [])]
        others = [str(one["asset_class"]) for one in rows if isinstance(one, dict) and "asset_class" in one]
        return list(dict.fromkeys([str(self.spec["asset_class"]), *others]))


def _texts(value: Any) -> list[str]:
    """The expressions of a field: where its value is, its date, its scale."""
    if not isinstance(value, dict):
        return [value] if isinstance(value, str) else []
    date, scale = value.get("date"), value.get("scale")
    found = [value.get("from"), date.get("from") if isinstance(date, dict) else None]
    found += [scale.get("from"), scale.get("digits")] if isinstance(scale, dict) else [scale]
    return [one for one in found if isinstance(one, str)]


def _without(field: SchemaField, record: RecordType) -> str:
    """What to do about a field that a venue may not have."""
    if field.name == record.profile.id:
        return ": map it, or say `identity: [...]` where the venue has no id"
    if field.is_side and "UNKNOWN" in field.symbols:
        return f": map it, or say `{field.name}: {{value: UNKNOWN}}` where the venue does not tell"
    if field.name == record.profile.closed:
        return f": map it, or say `closed: {NEXT}` where the venue does not tell"
    if field.name == record.profile.time:
        return f": map it with its unit, or say `{field.name}: $received_at` where the venue gives none"
    return ": say where it comes from"


def _quoted(key: str) -> str:
    return exactjson.encode(key).decode()
