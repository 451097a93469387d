"""A profile read and checked against its schema: all problems at once, each with its file and its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from k2conn.avro import RecordSchema
from k2conn.errors import SettingsError
from k2conn.records.defaults import profile_default, schema_default
from k2conn.records.profile import ENGINE_KINDS, ENGINE_NEEDED, MOST_CONTENT, Profile
from k2conn.records.record import FILLABLE

_TEXTS = (
    "plural", "time", "made_by", "id", "reference", "remainder", "action", "sequence", "price", "interval", "begin",
    "end", "closed",
)
_LISTS = ("engine", "identity", "key", "prices", "amounts", "content", "carried", "never_all_zero")
_SPAN = ("interval", "begin", "end")
_KEYS = (*_TEXTS, *_LISTS, "defaults")
_NEEDED = ("plural", "time", "engine")
_MAKERS = ("connectors", "engine")
_PLURAL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ROLES: dict[str, tuple[str, ...]] = {
    "time": ("timestamp-micros", "timestamp-millis"),
    "id": ("string",),
    "reference": ("string",),
    "remainder": ("int",),
    "action": ("enum",),
    "sequence": ("int", "long"),
    "price": ("decimal",),
    "prices": ("decimal",),
    "amounts": ("decimal", "int", "long"),
    "content": ("decimal", "int", "long", "enum", "string", "timestamp-micros", "timestamp-millis"),
    "carried": ("decimal", "int", "long", "boolean", "string", "enum"),
    "never_all_zero": ("decimal",),
    "key": ("string", "int", "long", "date", "timestamp-micros", "timestamp-millis"),
    "interval": ("string",),
    "begin": ("timestamp-micros",),
    "end": ("timestamp-micros",),
    "closed": ("boolean",),
}
"""The kinds of field that a profile's key can name."""
_NEVER_EMPTY = ("time", "id", "key", *_SPAN, "closed")


def read_profile(path: Path, schema_path: Path, schema: RecordSchema) -> Profile:
    """The profile in one file; SettingsError with all problems of it, and of its schema beside it, a line each."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise SettingsError(f"{schema_path}: there is no {path.name} beside it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: no TOML: {error}") from None
    reader = _Reader(path, schema_path, schema)
    profile = reader.profile(said)
    if profile is None:
        raise SettingsError("\n".join(reader.problems))
    return profile


class _Reader:
    """Reads one profile and collects what is wrong."""

    def __init__(self, path: Path, schema_path: Path, schema: RecordSchema) -> None:
        self.problems: list[str] = []
        self._path = path
        self._schema_path = schema_path
        self._fields = {field.name: field for field in schema.fields}

    def profile(self, said: dict[str, Any]) -> Profile | None:
        """The profile; None where there are problems."""
        for key in said:
            if key not in _KEYS:
                self._note(key, f"unknown key{_near(key, _KEYS)}")
        for key in _NEEDED:
            if key not in said:
                self._note(key, "is missing")
        sound = {key: value for key, value in said.items() if self._shaped(key, value)}
        self._words(sound)
        engine = tuple(self._engine(sound.get("engine", []))) if "engine" in sound else ()
        for key in (*_ROLES, "identity"):
            self._roles(key, sound.get(key, []), engine)
        defaults = self._defaults(sound.get("defaults", {}), engine, sound.get("id"))
        if self.problems:
            return None
        texts = {key: sound[key] for key in _TEXTS if key in sound}
        lists = {key: tuple(sound[key]) for key in _LISTS if key in sound}
        return Profile(**{**texts, **lists, "defaults": defaults})

    def _note(self, key: str, text: str) -> None:
        self.problems.append(f"{self._path}: {key}: {text}")

    def _shaped(self, key: str, value: Any) -> bool:
        text = ""
        if key in _TEXTS and not isinstance(value, str):
            text = 'is a text: "..."'
        elif key in _LISTS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            text = 'is a list of texts: ["...", "..."]'
        elif key == "defaults" and not isinstance(value, dict):
            text = "is a table: [defaults]"
        if text:
            self._note(key, text)
        return key in _KEYS and not text

    def _words(self, said: dict[str, Any]) -> None:
        """The keys that name no field."""
        if "plural" in said and not _PLURAL.fullmatch(said["plural"]):
            self._note("plural", f"'{said['plural']}' is not small letters, digits and _")
        if said.get("made_by", _MAKERS[0]) not in _MAKERS:
            self._note("made_by", f"'{said['made_by']}' is not one of {', '.join(_MAKERS)}")
        if len(said.get("content", [])) > MOST_CONTENT:
            self._note("content", f"at most {MOST_CONTENT} fields")
        missing = [key for key in _SPAN if key not in said]
        if 0 < len(missing) < len(_SPAN):
            self._note(missing[0], f"is missing: {', '.join(_SPAN)} belong together")
        if "key" in said and "id" in said:
            self._note("key", "records have an id of the venue's or a key, not both")
        if "closed" in said and "key" not in said:
            self._note("closed", "only records with a key have states: say `key`")
        if "price" in said and said["price"] not in said.get("prices", [said["price"]]):
            self._note("prices", f"'{said['price']}' is the headline price: it stands here, too")
        if said.get("never_all_zero") and said.get("price") not in said["never_all_zero"]:
            self._note("never_all_zero", "the headline price (`price`) stands here, too")

    # -- fields that are named

    def _engine(self, names: list[str]) -> list[str]:
        for name in ENGINE_NEEDED:
            if name not in names:
                self._note("engine", f"'{name}' is missing: every record has one")
        found = []
        for name in names:
            field = self._fields.get(name)
            if name not in ENGINE_KINDS:
                self._note("engine", f"'{name}' is nothing that the engine can fill{_near(name, ENGINE_KINDS)}")
            elif field is None:
                self._note("engine", f"the schema has no field '{name}'")
            elif field.kind not in ENGINE_KINDS[name]:
                self._note("engine", f"'{name}' is {' or '.join(ENGINE_KINDS[name])} in a schema, not {field.kind}")
            elif name in ENGINE_NEEDED and field.nullable:
                self._note("engine", f"'{name}' may be null in the schema: every record has one")
            elif name == "platform_sequence" and not field.nullable:
                self._note("engine", f"'{name}' is null for now: its type is [\"null\", \"long\"]")
            else:
                found.append(name)
        return found

    def _roles(self, key: str, said: Any, engine: tuple[str, ...]) -> None:
        """Checks the fields that one key names."""
        for name in [said] if isinstance(said, str) else said:
            field = self._fields.get(name)
            kinds = _ROLES.get(key, FILLABLE)
            if field is None:
                self._note(key, f"the schema has no field '{name}'{_near(name, self._fields)}")
            elif name in engine:
                self._note(key, f"'{name}' is filled by the engine")
            elif field.kind not in kinds:
                self._note(key, f"'{name}' is {field.kind}, not {' or '.join(kinds)}")
            elif key in _NEVER_EMPTY and field.nullable:
                self._note(key, f"'{name}' may be null in the schema: every record has one")

    # -- what stands where nothing is mapped

    def _defaults(self, said: dict[str, Any], engine: tuple[str, ...], own_id: str | None) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in said.items():
            field = self._fields.get(name)
            if field is None:
                self._note(f"defaults.{name}", f"the schema has no such field{_near(name, self._fields)}")
            elif name in (*engine, own_id):
                self._note(f"defaults.{name}", "this field is never left unmapped")
            else:
                read = partial(profile_default, field, value)
                self._default(self._path, f"defaults.{name}", read, name, found)
        for field in self._fields.values():
            if field.name in (*engine, own_id, *said):
                continue
            if field.has_default:
                self._default(self._schema_path, field.name, partial(schema_default, field), field.name, found)
            elif field.kind not in FILLABLE:
                text = f"{field.kind} cannot be filled from a message: give it a default, or take the field out"
                self.problems.append(f"{self._schema_path}: {field.name}: {text}")
        return found

    def _default(
        self, path: Path, place: str, read: Callable[[], object], name: str, found: dict[str, object]
    ) -> None:
        try:
            found[name] = read()
        except SettingsError as error:
            self.problems.append(f"{path}: {place}: {error}")


def _near(name: str, names: Any) -> str:
    """The helpful end of a problem: a near match, else the known names."""
    near = get_close_matches(name, list(names), n=1, cutoff=0.65)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(names)}"
