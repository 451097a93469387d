"""Compiles ``symbols:``: the rules by which the venue's names are read, and its own instrument list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from k2conn.compiler.converters.name_parts import NamePart, name_part, words
from k2conn.compiler.converters.patterns import PLACE, check_places
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.problems import known, short
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.form_checks import overlaps
from k2conn.compiler.sections.instrument_lists import (
    ListCompiler,
    ShownLists,
    list_names,
    list_parts,
    shown_instruments,
)
from k2conn.compiler.sections.symbols import Form, form, resolver, spelling
from k2conn.plan import InstrumentList, Symbol, SymbolRule

MOST_PART_STEPS = 20_000
"""Characters that the words of all forms have; a venue with 70 currencies has 300 in each form."""


def form_parts(spec: dict[str, Any]) -> tuple[str, ...]:
    """The further parts that symbols of this file have, as far as its forms and its list can be read."""
    said = spec.get("symbols")
    wanted = said.get("form", []) if isinstance(said, dict) else []
    found: list[str] = []
    for one in wanted if isinstance(wanted, list) else [wanted]:
        text = one.get("form") if isinstance(one, dict) else one
        found += PLACE.findall(text) if isinstance(text, str) else []
    found += list_parts(said.get("list")) if isinstance(said, dict) else ()
    return tuple(dict.fromkeys(found))


class SymbolCompiler:
    """Compiles the symbols of one connector."""

    def __init__(self, note: CompileContext, spec: dict[str, Any], folder: FilePath) -> None:
        self.note = note
        self.said: dict[str, Any] = spec.get("symbols", {})
        self.spec = spec
        self.folder = folder
        self._steps = 0
        """Of the parts of all forms so far."""

    def rule(self) -> SymbolRule | None:
        """The rule by which symbols are read; None after noting what is wrong with it."""
        said = self.said
        if not ({"form", "table"} & set(said) or self._names_listed):
            text = "nothing says how symbols are read: say `form:`, such as \"{base}/{quote}\", or `table:` or `list:`"
            self.note(("symbols",), "missing", text)
            return None
        forms = self._forms()
        record = said.get("record")
        wrong = record is not None and record != "native" and not self._record(record, forms)
        if forms is None or wrong:
            return None
        aliases = {key.upper(): value for key, value in said.get("aliases", {}).items()}
        table = {native: self._row(native, one, record) for native, one in said.get("table", {}).items()}
        resolve = resolver(tuple(forms), table, aliases, record)
        listing = self._listing()
        if listing is not None and listing.names:
            resolve.show(shown_instruments(listing))
        words = [one.text for one in forms] + [word for word in ("table", "list") if word in said]
        if "list" in said and not self._names_listed:
            words.remove("list")
        for at, native in enumerate(said["default"]):
            if not self._names_listed and resolve(native) is None:
                text = f"no rule in `symbols` reads '{short(native)}'; the rules are: {', '.join(words)}"
                text += _about_characters(native, forms)
                self.note(("symbols", "default", at), "unknown-symbol", text)
            elif resolve(native) is None:
                text = f"what asks no venue (map, plan, explain, the mock) cannot read '{short(native)}'"
                text += ": show its entry in a test's `list`"
                self.note.warn(("symbols", "default", at), "unknown-symbol", text)
        return SymbolRule(tuple(said["default"]), resolve, ", ".join(words), resolve.listed, listing)

    @property
    def _names_listed(self) -> bool:
        """Whether the venue's list says what names mean."""
        return bool(list_names(self.said.get("list")))

    def _listing(self) -> InstrumentList | None:
        """The venue's own list, and what the file's tests show of it."""
        if "list" not in self.said:
            return None
        listing = ListCompiler(self.note, self.folder).listing(self.said["list"], ("symbols", "list"))
        return None if listing is None else replace(listing, shown=ShownLists(self.note, listing).lists(self.spec))

    def _forms(self) -> list[Form] | None:
        """The compiled forms; None after noting that one is not usable or that two cannot be told apart."""
        wanted = self.said.get("form", [])
        entries: list[tuple[Any, Path]] = [(wanted, ("symbols", "form"))]
        if isinstance(wanted, list):
            entries = [(one, ("symbols", "form", at)) for at, one in enumerate(wanted)]
        shared = self._parts(self.said.get("parts", {}), ("symbols", "parts"), form_parts({"symbols": self.said}))
        if "quotes" in self.said:
            shared = {"quote": words(self.said["quotes"]), **(shared or {})}
        found = [self._form(one, path, shared or {}) for one, path in entries]
        sound = [one for one in found if one is not None]
        if shared is None or len(sound) < len(found):
            return None
        return sound if self._told_apart(sound, [path for _, path in entries]) else None

    def _form(self, one: Any, path: Path, shared: dict[str, NamePart]) -> Form | None:
        """One form; None after noting that it is not usable."""
        said: dict[str, Any] = {"form": one} if isinstance(one, str) else one
        place = path if isinstance(one, str) else (*path, "form")
        names = PLACE.findall(said["form"])
        own = self._parts(said.get("parts", {}), (*path, "parts"), tuple(names))
        fixed: dict[str, str] = {key: said[key] for key in ("base", "quote") if key in said}
        for name in fixed.keys() & set(names):
            self.note((*path, name), "form", f"the spelling itself gives {{{name}}}: say it once", at_key=True)
            own = None
        parts = {**shared, **(own or {})}
        self._steps += sum(parts[name].size for name in names if name in parts)
        if self._steps > MOST_PART_STEPS:
            self.note(place, "form", f"the words of all forms have at most {MOST_PART_STEPS} characters together")
            return None
        try:
            compiled = form(
                said["form"], parts, fixed, said.get("record"), said.get("asset_class", ""),
                said.get("currency", ""), said.get("overrides", False),
            )
        except ValueError as error:
            self.note(place, "form", str(error))
            return None
        templates = [key for key in ("record", "currency") if said.get(key, "native") != "native"]
        spelled = [self._spelled(said[key], compiled.parts, (*path, key)) for key in templates]
        return compiled if own is not None and all(spelled) else None

    def _parts(self, said: dict[str, Any], path: Path, names: tuple[str, ...]) -> dict[str, NamePart] | None:
        """What parts may hold, by name; None after noting that something about it is wrong."""
        found: dict[str, NamePart] = {}
        for name, value in said.items():
            if name not in names:
                self.note((*path, name), "form", f"no form has {{{short(name)}}}{known(name, names)}", at_key=True)
                continue
            try:
                found[name] = name_part(value)
            except ValueError as error:
                self.note((*path, name), "form", str(error))
        return found if len(found) == len(said) else None

    def _told_apart(self, forms: list[Form], paths: list[Path]) -> bool:
        """Whether every name that forms read has one reading; each form that takes part in another one is noted."""
        sound = True
        try:
            for text, at in overlaps(forms):
                self.note(paths[at], "form", text)
                sound = False
        except ValueError as error:
            self.note(("symbols", "form"), "form", str(error))
            sound = False
        return sound

    def _record(self, record: str, forms: list[Form] | None) -> bool:
        """Whether our spelling's template can be filled for every symbol."""
        always = frozenset.intersection(*(one.parts for one in forms)) if forms else frozenset({"base", "quote"})
        if self.said.get("table") and forms:
            always &= {"base", "quote"}
        return self._spelled(record, always, ("symbols", "record"))

    def _spelled(self, record: str, always: frozenset[str], path: Path) -> bool:
        """Whether a template of our spelling can be filled from the parts that are always there."""
        try:
            check_places(record)
        except ValueError as error:
            self.note(path, "form", str(error))
            return False
        wrong = [name for name in PLACE.findall(record) if name not in {*always, "base", "quote", "native"}]
        for name in wrong:
            text = f"not every symbol has {{{name}}}{known(name, sorted({*always, 'base', 'quote', 'native'}))}"
            self.note(path, "form", text)
        return not wrong

    @staticmethod
    def _row(native: str, one: dict[str, str], record: str | None) -> Symbol:
        text = one.get("record") or spelling(native, {"base": one["base"], "quote": one["quote"]}, record)
        return Symbol(native, text, one["base"], one["quote"], (), one.get("asset_class", ""), one.get("currency", ""))


def _about_characters(native: str, forms: Sequence[Form]) -> str:
    """What may be the reason that no form reads a name: a character that no part holds, where nothing says so."""
    between = "".join(piece for one in forms for piece in PLACE.split(one.text)[::2])
    odd = "".join(dict.fromkeys(one for one in native if not one.isalnum() and one not in between))
    if not odd or not forms:
        return ""
    return f"; a part holds '{short(odd)}' where `parts:` says so, such as {{base: {{also: \"{short(odd)}\"}}}}"
