"""``streams:`` compiled: how a message is recognised, its items reached, and each item turned into a record."""

from __future__ import annotations

import re
from typing import Any

from k2conn import exactjson
from k2conn.avro import RecordSchema, known_schemas, load_schema
from k2conn.errors import RecordError
from k2conn.plan import Carry, Field, Match, Reader, Scope, Sequence, Stream, Template
from k2conn.spec.conditions import Note, compile_match
from k2conn.spec.document import Path
from k2conn.spec.expressions import Expression, ExpressionError, compile_expression
from k2conn.spec.fields import FieldCompiler, text, whole_number
from k2conn.spec.problems import known
from k2conn.spec.templates import TemplateError, compile_template

ENGINE_FIELDS = ("message_id", "exchange", "asset_class", "ingestion_timestamp", "platform_sequence", "vendor_data")
"""Fields that the engine fills; a spec cannot map them."""
TOPIC = "market.{asset_class}.{data_type}.{exchange}"
DATA_TYPES = {"trade": "trades", "quote": "quotes"}
_PLACES = ("asset_class", "data_type", "exchange", "stream")


class StreamCompiler:
    """Compiles the streams of one connector."""

    def __init__(self, note: Note, spec: dict[str, Any]) -> None:
        self.note = note
        self.spec = spec
        self.fields = FieldCompiler(note, spec.get("on_overflow", "dead_letter"))

    def stream(self, name: str, said: dict[str, Any]) -> Stream | None:
        """One stream; None after noting what is wrong."""
        path: Path = ("streams", name)
        record = said.get("record", name)
        if record not in known_schemas():
            place = (*path, "record") if "record" in said else path
            self.note(place, "record", f"'{record}' is no record type{known(record, known_schemas())}; say `record:`")
            return None
        schema = load_schema(record)
        when = compile_match(said["when"], (*path, "when"), self.note)
        each = self._expression(said, "each", path)
        mapped = self._mapped(schema, said, path)
        symbol = self._symbol(said, path)
        identity = self._identity(record, said, path)
        snapshot, skip = self._snapshot(said, path)
        currency = self._text(said["fields"], "currency", path) if "currency" in said["fields"] else None
        topic = self._topic(said, path)
        kafka_topic = self._kafka_topic(record, name, said, path)
        drop_when = compile_match(said["drop_when"], (*path, "drop_when"), self.note) if "drop_when" in said else None
        vendor = self._vendor(said, path)
        if when is None or symbol is None or mapped is None or kafka_topic is None:
            return None
        return Stream(
            name=name,
            record=record,
            enabled=said.get("default", True),
            when=when,
            kafka_topic=kafka_topic,
            topic=topic,
            each=each.get if each else None,
            each_text=said.get("each", "the message"),
            each_key=False,
            reverse=said.get("order") == "newest-first",
            drop_when=drop_when,
            snapshot=snapshot,
            skip_snapshot=skip,
            drop_first=None if said.get("first_batch", "keep") == "keep" else said["first_batch"],
            symbol=symbol,
            identity=identity,
            identity_fields=self._identity_fields(schema, said, path, identity),
            fields=mapped,
            constants={"exchange": self.spec["exchange"], "asset_class": self.spec["asset_class"]},
            currency=currency,
            vendor=vendor,
            unmapped=said.get("unmapped", "keep") == "keep",
            mapped_keys=self._mapped_keys(said),
            carry=self._carry(schema, said, path),
            sequence=self._sequence(said, path),
            random_id=said.get("message_id") == "random",
        )

    # -- fields

    def _mapped(self, schema: RecordSchema, said: dict[str, Any], path: Path) -> tuple[Field, ...] | None:
        place = (*path, "fields")
        names = [field.name for field in schema.fields if field.name not in ENGINE_FIELDS]
        special = ("symbol", "trade_id", "quote_id", "currency")
        found: list[Field | None] = []
        for name in said["fields"]:
            if name in ENGINE_FIELDS:
                self.note((*place, name), "unknown-field", f"'{name}' is filled by the engine; it cannot be mapped")
            elif name not in names:
                text = f"'{name}' is no field of the {schema.name} record{known(name, names)}"
                self.note((*place, name), "unknown-field", text)
        for field in schema.fields:
            if field.name in said["fields"] and field.name in names and field.name not in special:
                found.append(self.fields.field(field, said["fields"][field.name], (*place, field.name)))
            elif self._required(field.name, schema, said):
                self.note(place, "unmapped-field", f"the {schema.name} record needs '{field.name}'")
                found.append(None)
        return None if None in found else tuple(field for field in found if field)

    @staticmethod
    def _required(name: str, schema: RecordSchema, said: dict[str, Any]) -> bool:
        if name in said["fields"] or name in (*ENGINE_FIELDS, "currency", "trade_conditions"):
            return False
        if name in ("trade_id", "quote_id"):
            return "identity" not in said
        field = schema.fields[schema.index(name)]
        return not field.has_default

    def _symbol(self, said: dict[str, Any], path: Path) -> Field | None:
        return self._text(said["fields"], "symbol", path) if "symbol" in said["fields"] else None

    def _text(self, fields: dict[str, Any], name: str, path: Path) -> Field | None:
        target = load_schema("trade").fields[load_schema("trade").index("symbol")]
        found = self.fields.field(target, fields[name], (*path, "fields", name))
        return Field(name, _renamed(found.read, name), found.expression, found.converter, found.default,
                     found.speed) if found else None

    def _identity(self, record: str, said: dict[str, Any], path: Path) -> Field | None:
        name = f"{record}_id"
        return self._text(said["fields"], name, path) if name in said["fields"] else None

    def _identity_fields(
        self, schema: RecordSchema, said: dict[str, Any], path: Path, identity: Field | None
    ) -> tuple[str, ...]:
        names = tuple(said.get("identity", ()))
        mapped = [field.name for field in schema.fields if field.name in said["fields"]]
        for at, name in enumerate(names):
            if name not in mapped:
                text = f"'{name}' is no mapped field{known(name, mapped)}"
                self.note((*path, "identity", at), "unknown-field", text)
        if names and identity:
            self.note((*path, "identity"), "value", f"the venue's own id is mapped ({schema.name}_id): say one of them")
        return names

    def _vendor(self, said: dict[str, Any], path: Path) -> tuple[Field, ...]:
        place = (*path, "vendor_data")
        wanted = said.get("vendor_data", [])
        if isinstance(wanted, list):
            entries = [(key, _quoted(key), (*place, at)) for at, key in enumerate(wanted)]
        else:
            entries = [(key, value, (*place, key)) for key, value in wanted.items()]
        found = [self.fields.vendor(name, value, where) for name, value, where in entries]
        return tuple(field for field in found if field)

    def _mapped_keys(self, said: dict[str, Any]) -> frozenset[str]:
        """The item's top-level keys that a field or a vendor entry reads as a plain path."""
        keys: set[str] = set()
        wanted = said.get("vendor_data", [])
        values = [*said["fields"].values(), *([_quoted(k) for k in wanted] if isinstance(wanted, list)
                                              else wanted.values())]
        for value in values:
            expression = value.get("from") if isinstance(value, dict) else value
            if isinstance(expression, str):
                try:
                    keys |= compile_expression(expression).heads
                except ExpressionError:
                    continue  # noted where the field itself is compiled
        return frozenset(keys)

    # -- the rest of a stream

    def _expression(self, said: dict[str, Any], key: str, path: Path) -> Expression | None:
        if key not in said:
            return None
        try:
            return compile_expression(said[key])
        except ExpressionError as error:
            self.note((*path, key), error.code, str(error))
            return None

    def _snapshot(self, said: dict[str, Any], path: Path) -> tuple[Match | None, bool]:
        if "snapshot" not in said:
            return None, False
        value, place = said["snapshot"], (*path, "snapshot")
        if isinstance(value, dict) and set(value) <= {"when", "action"} and "when" in value:
            return compile_match(value["when"], (*place, "when"), self.note), value.get("action") == "skip"
        return compile_match(value, place, self.note), False

    def _topic(self, said: dict[str, Any], path: Path) -> Template | None:
        if "topic" not in said:
            return None
        try:
            return compile_template(said["topic"], ("symbol", "env")).render
        except TemplateError as error:
            self.note((*path, "topic", *error.path), error.code, str(error))
            return None

    def _kafka_topic(self, record: str, name: str, said: dict[str, Any], path: Path) -> str | None:
        own = "kafka_topic" in said
        template = said["kafka_topic"] if own else self.spec.get("kafka_topic", TOPIC)
        place = (*path, "kafka_topic") if own else ("kafka_topic",)
        wrong = [place_ for place_ in re.findall(r"\{([^}]*)\}", template) if place_ not in _PLACES]
        for one in wrong:
            self.note(place, "unknown-placeholder", f"unknown placeholder {{{one}}}{known(one, _PLACES)}")
        if wrong:
            return None
        topic: str = template.format(
            asset_class=self.spec["asset_class"],
            data_type=DATA_TYPES.get(record, record),
            exchange=self.spec["exchange"].lower(),
            stream=name,
        )
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
            self.note(place, "value", f"'{topic}' is no Kafka topic name")
            return None
        return topic

    def _carry(self, schema: RecordSchema, said: dict[str, Any], path: Path) -> Carry | None:
        """Carried fields are read strictly; their `absent` only stands where nothing was said yet."""
        if "carry" not in said:
            return None
        begin = said["carry"].get("begin")
        match = compile_match(begin, (*path, "carry", "begin"), self.note) if begin is not None else None
        names: list[str] = []
        readers: list[Reader] = []
        defaults: list[Any] = []
        for name in (n for n in ("bid_price", "bid_quantity", "ask_price", "ask_quantity") if n in said["fields"]):
            value = said["fields"][name]
            target = schema.fields[schema.index(name)]
            given = {"from": value} if isinstance(value, str) else value
            strict = {key: one for key, one in given.items() if key != "absent"}
            field = self.fields.field(target, strict, (*path, "fields", name))
            fallback = None
            if "absent" in given:
                fallback = self.fields.field(target, {"value": given["absent"]}, (*path, "fields", name))
            if field:
                names.append(name)
                readers.append(field.read)
                defaults.append(fallback.read(None, Scope()) if fallback else None)
        return Carry(tuple(names), tuple(readers), tuple(defaults), match)

    def _sequence(self, said: dict[str, Any], path: Path) -> Sequence | None:
        if "sequence" not in said:
            return None
        rule = said["sequence"]
        read = self._number_reader(rule, "from", (*path, "sequence"))
        previous = self._number_reader(rule, "previous", (*path, "sequence")) if "previous" in rule else None
        return Sequence(read, rule["from"], rule["rule"], rule["per"], previous) if read else None

    def _number_reader(self, rule: dict[str, Any], key: str, path: Path) -> Reader | None:
        expression = self._expression(rule, key, path)
        if expression is None:
            return None
        get = expression.get

        def read(item: Any, scope: Scope) -> int | None:
            value = get(item, scope)
            return None if value is None else whole_number(value)

        return read


def _renamed(read: Reader, name: str) -> Reader:
    def renamed(item: Any, scope: Scope) -> Any:
        try:
            return read(item, scope)
        except RecordError as error:
            error.field = name
            raise

    return renamed


def _quoted(key: str) -> str:
    return exactjson.encode(key).decode()


__all__ = ["DATA_TYPES", "ENGINE_FIELDS", "TOPIC", "StreamCompiler", "text"]
