"""The shape of a connector file against its JSON Schema: the one door to jsonschema.

jsonschema finds what does not fit; this room turns it into problems a person can use: unknown words are said at the
key with a near match, and of several allowed forms the one that the author evidently meant is explained.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

from k2conn import exactjson
from k2conn.resources import schemas_folder
from k2conn.spec.document import Document, Path
from k2conn.spec.problems import known

_NAMES = {"object": "a map", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
          "boolean": "true or false", "null": "nothing"}


@lru_cache(maxsize=1)
def _validator() -> Any:
    schema = exactjson.decode((schemas_folder() / "connector.schema.json").read_bytes())
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number)
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)
    return validator(schema)


def _is_number(_: Any, value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or type(value).__name__ == "Decimal")


def check_shape(document: Document) -> None:
    """Notes every place where the document does not have the language's shape."""
    if not isinstance(document.value, dict):
        if not document.problems:
            document.problem((), "shape", "a connector file is a map; it starts with `connector: name`")
        return
    for error in _validator().iter_errors(document.value):
        _note(document, error)


def _note(document: Document, error: ValidationError) -> None:
    for leaf in _meant(error):
        path: Path = tuple(leaf.absolute_path)
        if leaf.validator == "additionalProperties":
            _unknown_keys(document, path, leaf)
        elif leaf.validator == "required":
            for name in leaf.validator_value:
                if name not in leaf.instance:
                    text = f"'{name}' is missing{_describe(leaf, name)}"
                    if not _said(document, path, text):
                        document.problem(path, "missing", text)
        else:
            code, text = _words(leaf)
            document.problem(path, code, text)


def _said(document: Document, path: Path, text: str) -> bool:
    line, column = document.place(path)
    return any((p.line, p.column, p.text) == (line, column, text) for p in document.problems)


def _unknown_keys(document: Document, path: Path, error: ValidationError) -> None:
    allowed = list(error.schema.get("properties", ()))
    for key in error.instance:
        if key not in allowed:
            document.problem((*path, key), "unknown-key", f"unknown key '{key}'{known(key, allowed)}", at_key=True)


def _describe(error: ValidationError, name: str) -> str:
    schema = error.schema.get("properties", {}).get(name, {})
    text = schema.get("description") if isinstance(schema, dict) else None
    return f": {text}" if text else ""


def _words(error: ValidationError) -> tuple[str, str]:
    shown = exactjson.spell(error.instance)[:60]
    if error.validator == "type":
        return "type", f"must be {_types(error.validator_value)}, not {_kind(error.instance)}"
    if error.validator == "enum":
        return "value", f"'{shown}' is not allowed{known(shown, map(str, error.validator_value))}"
    if error.validator == "const":
        return "value", f"'{shown}' is not allowed; it must be '{error.validator_value}'"
    if error.validator == "pattern":
        return "value", f"'{shown}' has not the right form: {error.schema.get('description', error.validator_value)}"
    if error.validator == "anyOf":
        wanted = " or ".join(dict.fromkeys(_types(t) for branch in error.context for t in _branch_types(branch)))
        return "type", f"must be {wanted or 'of another form'}, not {_kind(error.instance)}"
    if error.validator in ("minItems", "minProperties", "minLength"):
        return "value", "must not be empty"
    return "value", error.message


def _branch_types(error: ValidationError) -> list[Any]:
    return [error.validator_value] if error.validator == "type" else []


def _types(value: Any) -> str:
    return " or ".join(_NAMES.get(name, str(name)) for name in ([value] if isinstance(value, str) else value))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"'{exactjson.spell(value)}'"
    kinds = {dict: "a map", list: "a list", str: f"'{str(value)[:60]}'", type(None): "nothing"}
    return kinds.get(type(value), str(value))


def _meant(error: ValidationError) -> list[ValidationError]:
    """Of an anyOf's branches, the errors of the one whose type fits the value; the error itself where none does."""
    if error.validator != "anyOf" or not error.context:
        return [error]
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)
    fitting = [found for found in branches.values() if not _wrong_kind(found, error)]
    if not fitting:
        return [error]
    best = min(fitting, key=lambda found: (sum(1 for e in found if e.validator in ("const", "not", "enum")), len(found)))
    return [leaf for inner in best for leaf in _meant(inner)]


def _wrong_kind(branch: list[ValidationError], parent: ValidationError) -> bool:
    for inner in branch:
        if inner.validator == "type" and inner.absolute_path == parent.absolute_path:
            return True
        if inner.validator == "const" and inner.absolute_path == parent.absolute_path:
            return not isinstance(inner.instance, type(inner.validator_value))
        if inner.validator == "anyOf" and inner.absolute_path == parent.absolute_path and _meant(inner) == [inner]:
            return True
    return False
