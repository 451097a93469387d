"""Validates a connector file against its JSON Schema; the only module that uses jsonschema.

jsonschema finds the violations; this module turns them into helpful problems: unknown keys are reported at the key with
a near match, and where several forms are allowed, the one that the author evidently meant is explained. A document that
`fit` accepts needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from k2conn import exactjson
from k2conn.avro import SchemaField
from k2conn.compat.jsonschema import without_slow_parsers
from k2conn.compiler.language.document import Document, Path
from k2conn.compiler.language.durations import out_of_bounds
from k2conn.compiler.language.fit import fits, matches
from k2conn.compiler.language.problems import known, short
from k2conn.printable import visible
from k2conn.records import RecordType, known_records, load_record
from k2conn.resources import schemas_folder

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_NAMES = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


@lru_cache(maxsize=1)
def _schema() -> Any:
    return exactjson.decode((schemas_folder() / "connector.schema.json").read_bytes())


def _schema_for(spec: Mapping[str, Any]) -> Any:
    """The language's schema, in which the `fields` of each stream are those of its own record type."""
    schema = _schema()
    said = spec.get("streams")
    streams = said if isinstance(said, dict) else {}
    known = known_records("connectors")
    wanted = {name: one.get("record", name) for name, one in streams.items() if isinstance(one, dict)}
    records = {name: record for name, record in wanted.items() if record in known}
    own = {name: {"$ref": f"#/$defs/{record}:stream"} for name, record in records.items()}
    properties = {**schema["properties"], "streams": {**schema["properties"]["streams"], "properties": own}}
    named = {key: one for record in records.values() for key, one in _record_schemas(load_record(record)).items()}
    return {**schema, "properties": properties, "$defs": {**schema["$defs"], **named}}


@lru_cache(maxsize=64)
def _record_schemas(record: RecordType) -> dict[str, Any]:
    """What the schema says of streams, backfills and fields, for one record type."""
    named, name = _schema()["$defs"], record.name
    fields = {**named["fields"], "properties": _fields_of(record)}
    place = {"$ref": f"#/$defs/{name}:fields"}
    backfill = {**named["backfill"], "properties": _with(named["backfill"]["properties"], "fields", place)}
    both = _replaced(named["stream"]["properties"]["backfill"], f"#/$defs/{name}:backfill")
    stream = _with(named["stream"]["properties"], "fields", place) | {"backfill": both}
    return {
        f"{name}:fields": fields,
        f"{name}:backfill": backfill,
        f"{name}:stream": {**named["stream"], "properties": stream},
    }


def _fields_of(record: RecordType) -> dict[str, Any]:
    """The shape of each field of a record type, by its kind; the texts of the language's schema where it has some."""
    shown = _schema()["$defs"]["fields"]["properties"]
    found = {}
    for name in record.authored:
        place = _form(record.field(name), record) if name != "symbol" else "symbol_field"
        said = {"$ref": f"#/$defs/{place}", "description": record.field(name).doc or f"The {name} of a {record.name}."}
        found[name] = shown[name] if shown.get(name, {}).get("$ref") == said["$ref"] else said
    return found


def _form(field: SchemaField, record: RecordType) -> str:
    if field.name == record.profile.remainder:
        return "time_field"
    return "side_field" if field.is_side else _FORMS.get(field.kind, "text_field")


_FORMS = {
    "boolean": "boolean_field",
    "int": "integer_field",
    "long": "integer_field",
    "timestamp-micros": "time_field",
    "timestamp-millis": "time_field",
    "date": "time_field",
    "decimal": "decimal_field",
    "enum": "name_field",
    "array<string>": "list_field",
    "map<string>": "map_field",
}
"""What the language's schema calls the fields of each kind."""


def _with(properties: Mapping[str, Any], name: str, reference: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of which one refers to something else."""
    return {**properties, name: {**properties[name], **reference}}


def _replaced(node: Any, reference: str) -> Any:
    """A part of the schema with all its references to somewhere else."""
    if isinstance(node, dict):
        return {key: reference if key == "$ref" else _replaced(one, reference) for key, one in node.items()}
    return [_replaced(one, reference) for one in node] if isinstance(node, list) else node


def _validator(schema: Any) -> Any:
    return _validators()(schema)


@lru_cache(maxsize=1)
def _validators() -> Any:
    """The class of validators; made once, for it takes longer to make than to check a small file."""
    with without_slow_parsers():
        import jsonschema  # imported only when needed: the import takes longer than checking a file

    library: Any = jsonschema
    draft = library.Draft202012Validator
    checker = draft.TYPE_CHECKER.redefine("number", _is_number).redefine("integer", _is_integer)
    return library.validators.extend(draft, {"measure": _measure, "pattern": _matches}, type_checker=checker)


def _matches(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not matches(value, pattern):
        yield ValidationError("another form")


def _measure(_: Any, kind: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """Our own keyword: bounds of durations, sizes and rates, which are texts."""
    from jsonschema.exceptions import ValidationError

    text = out_of_bounds(kind, value) if isinstance(value, str) else ""
    if text:
        yield ValidationError(f"'{short(value)}' cannot be: {text}")


def _is_number(_: Any, value: Any) -> bool:
    return type(value) in (int, Decimal)


def _is_integer(_: Any, value: Any) -> bool:
    return type(value) is int


def check_shape(document: Document) -> None:
    """Adds a problem for every place where the document violates the schema."""
    if not isinstance(document.value, dict):
        if not document.problems:
            document.problem((), "shape", "a connector file is a map; it starts with `connector: name`")
        return
    schema = _schema_for(document.value)
    if fits(document.value, schema):
        return
    unknown: list[Path] = []
    for error in _validator(schema).iter_errors(document.value):
        unknown += _note(document, error)
        if document.full:
            return
    for path in unknown:  # whoever compiles the rest must not meet them: what is there has been looked at by nobody
        _take_out(document.value, path)


def _take_out(value: Any, path: Path) -> None:
    *way, key = path
    for step in way:
        if isinstance(value, dict) and step not in value:
            return  # what it stands in has been taken out
        value = value[step]
    value.pop(key, None)


def _note(document: Document, error: ValidationError) -> list[Path]:
    """Notes what one error says; where the keys are that the schema does not know."""
    unknown: list[Path] = []
    for leaf in _meant(error):
        path: Path = tuple(leaf.absolute_path)
        if leaf.validator == "additionalProperties":
            if leaf is not error:  # of some forms none fits: what it has under other keys was not looked at
                _break(document, path)
            unknown += _unknown_keys(document, path, leaf)
        elif leaf.validator == "required":
            _missing_keys(document, path, leaf)
        elif "propertyNames" in leaf.absolute_schema_path:
            place = (*path, str(leaf.instance))
            _break(document, place)
            text = f"'{short(str(leaf.instance))}' is no usable name: {_description(leaf)}"
            document.problem(place, "value", text, at_key=True)
        else:
            _break(document, path)
            code, text = _words(leaf)
            document.problem(path, code, text)
    return unknown


def _break(document: Document, path: Path) -> None:
    document.broken.add(path)


def _missing_keys(document: Document, path: Path, error: ValidationError) -> None:
    wanted: Any = error.validator_value
    instance: Any = error.instance
    _break(document, path)
    for name in wanted:
        text = f"'{name}' is missing{_explained(error, name)}"
        line, column = document.place(path)
        said = any((one.line, one.column, one.text) == (line, column, text) for one in document.problems)
        if name not in instance and not said:
            document.problem(path, "missing", text)


def _unknown_keys(document: Document, path: Path, error: ValidationError) -> list[Path]:
    """Unknown keys are noted and otherwise passed over: the rest of the map is compiled without them."""
    schema: Any = error.schema
    instance: Any = error.instance
    allowed = list(schema.get("properties", ()))
    found: list[Path] = [(*path, key) for key in instance if key not in allowed]
    for place in found:
        text = f"unknown key '{short(str(place[-1]))}'{known(str(place[-1]), allowed)}"
        document.problem(place, "unknown-key", text, at_key=True)
        if document.full:
            break
    return found


def _explained(error: ValidationError, name: str) -> str:
    schema: Any = error.schema
    found = schema.get("properties", {}).get(name, {})
    text = found.get("description") if isinstance(found, dict) else None
    return f": {text[0].lower() + text[1:].rstrip('.')}" if text else ""


def _description(error: ValidationError) -> str:
    schema: Any = error.schema
    text: str = schema.get("description") or f"it must match {error.validator_value}"
    return text[0].lower() + text[1:].rstrip(".")


def _distinct(value: Any) -> str:
    """A value that may stand there, in quotes where it is a sign that would be lost among others."""
    text = str(value)
    return text if text.isalnum() or len(text) > 1 else f"'{visible(text)}'"


def _words(error: ValidationError) -> tuple[str, str]:
    value: Any = error.validator_value
    instance: Any = error.instance
    shown = short(exactjson.spell(instance))
    if error.validator == "type":
        return "type", f"must be {_types(value)}, not {_kind(instance)}{_expected(error, _types(value), instance)}"
    if error.validator == "enum":
        return "value", f"'{shown}' is not allowed{known(shown, map(_distinct, value))}"
    if error.validator == "const":
        return "value", f"'{shown}' is not allowed; it must be '{value}'"
    if error.validator == "pattern":
        return "value", f"'{shown}' has not the right form: {_with_unit(error) or _description(error)}"
    if error.validator == "anyOf":
        wanted = " or ".join(dict.fromkeys(_types(t) for branch in error.context for t in _branch_types(branch)))
        hint = _or_with_unit(error, _quoting(wanted, instance))
        return "type", f"must be {wanted or 'of another form'}, not {_kind(instance)}{hint}"
    if error.validator == "minItems" and value > 1:
        return "value", f"must have at least {value} entries{_quoting('text', instance)}"
    if error.validator in ("minItems", "minProperties", "minLength"):
        return "value", "must not be empty"
    if error.validator in ("maxItems", "maxProperties", "maxLength"):
        return "value", f"must not have more than {value} {'characters' if isinstance(instance, str) else 'entries'}"
    if error.validator in ("minimum", "exclusiveMinimum"):
        return "value", f"must be {'at least' if error.validator == 'minimum' else 'above'} {value}, not {shown}"
    if error.validator == "maximum":
        return "value", f"must be at most {value}, not {shown}"
    return "value", error.message


def _branch_types(error: ValidationError) -> list[Any]:
    return [error.validator_value] if error.validator == "type" else []


def _types(value: Any) -> str:
    names = [_NAMES.get(name, str(name)) for name in ([value] if isinstance(value, str) else value)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return exactjson.spell(value)
    if isinstance(value, str):
        return f"'{short(value)}'"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a map"
    return "a list" if isinstance(value, list) else short(exactjson.spell(value))


def _expected(error: ValidationError, wanted: str, value: Any) -> str:
    """What belongs here, where the schema says more than a type."""
    schema: Any = error.schema
    said = f": {_description(error)}" if "pattern" in schema and "description" in schema else _quoting(wanted, value)
    return _or_with_unit(error, said)


_UNITS = {"duration": "s", "size": " B", "rate": " per 1s"}
"""What a bare number lacks, by the name of a form in the schema."""


def _or_with_unit(error: ValidationError, hint: str) -> str:
    found = _with_unit(error)
    return f": {found}" if found else hint


def _with_unit(error: ValidationError) -> str:
    """A number without its unit, where a duration, size or rate belongs: how it is written; else nothing."""
    value: Any = error.instance
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        return ""
    number = format(value, "f") if isinstance(value, Decimal) else str(value)
    if not re.fullmatch(r"[0-9.]{1,26}", number):
        return ""
    patterns = {one.schema.get("pattern") for one in (error, *(error.context or ())) if isinstance(one.schema, dict)}
    for name, unit in _UNITS.items():
        form = _schema()["$defs"][name]
        if form["pattern"] in patterns and re.search(form["pattern"], number + unit):
            return f"write {number}{unit} ({form['description'][0].lower()}{form['description'][1:].rstrip('.')})"
    return ""


def _quoting(wanted: str, value: Any) -> str:
    """What to do where YAML read something else than the text that was meant."""
    if "text" not in wanted:
        return ""
    if isinstance(value, Mapping) and value and all(one is None for one in value.values()):
        return ': quote a text that starts with {, such as "{$state.url}"'
    if isinstance(value, list):
        return ': quote a text that starts with [, such as "[0]"'
    if isinstance(value, (bool, int, Decimal)):
        return f': write "{exactjson.spell(value)}"'
    return ""


def _meant(error: ValidationError) -> list[ValidationError]:
    """Of an anyOf's branches, the errors of the one whose type fits; the error itself where none does."""
    if error.validator != "anyOf" or not error.context:
        return [error]
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)
    fitting = [found for found in branches.values() if not _wrong_kind(found, error)]
    if not fitting:
        return [error]
    depth = len(error.absolute_path)
    best = min(fitting, key=lambda found: _distance(found, depth))
    return [leaf for inner in best for leaf in _meant(inner)]


def _distance(found: list[ValidationError], depth: int) -> tuple[int, int, int]:
    """How far a value is from a form: first by words that are others, then by its own keys (``depth`` is the value's;
    what is wrong below it was meant for this form), then by the number of errors.
    """
    words = sum(1 for error in found if error.validator in ("const", "not", "enum"))
    keys = ("additionalProperties", "required")
    return words, sum(1 for error in found if error.validator in keys and len(error.absolute_path) == depth), len(found)


def _wrong_kind(branch: list[ValidationError], parent: ValidationError) -> bool:
    for inner in branch:
        if inner.absolute_path != parent.absolute_path:
            continue
        if inner.validator == "type":
            return True
        if inner.validator == "const":
            return not isinstance(inner.instance, type(inner.validator_value))
        if inner.validator == "enum":
            return not isinstance(inner.instance, str)
        if inner.validator == "anyOf" and _meant(inner) == [inner]:
            return True
    return False
