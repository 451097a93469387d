"""`k2conn env`: the environment variables, what each is for, and which are set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from k2conn.cli.command_variables import CONNECTOR
from k2conn.cli.commands.registry import command_names
from k2conn.cli.markdown_text import cell, code
from k2conn.cli.messages import say, show, show_json
from k2conn.cli.screen import Column, screen, table
from k2conn.cli.variable_catalogue import KnownVariable, known_variables
from k2conn.errors import SettingsError, known
from k2conn.secret_mask import HIDDEN, SECRETS
from k2conn.variable_definitions import CONNECTOR_VARIABLES
from k2conn.variable_files import SUFFIX

FORMATS = ("table", "markdown", "json")
_UNKNOWN = KnownVariable("", "connector files", "Read by a connector file, or by nothing.", "", True, True, ())
_COLUMNS = (Column("variable"), Column("what for", least=30), Column("default", leaves=2),
            Column("read by", leaves=3, least=12))
_SET_COLUMNS = (Column("variable"), Column("value", least=20), Column("what for", leaves=1, least=30))
_ABOUT = (
    "Made by `k2conn env --format markdown`. How they work together, with longer explanations, is in",
    "[operations.md](operations.md); flags come first, then these, then the connector file.",
    "",
    f"Where `NAME` is not set, `NAME{SUFFIX}` may name a file that holds its value, but for those marked with ¹.",
    "`<CONNECTOR>` is a connector's name in capitals, with `_` for what is no letter or digit.",
)


@dataclass(frozen=True, slots=True)
class SetVariable:
    """A variable that is set, under the ``name`` that is set; ``value`` may be shown."""

    name: str
    known: KnownVariable
    value: str


def run(words: Sequence[str], command: str | None, only_set: bool, form: str) -> int:
    """Prints a row for each variable that has all ``words`` in its name or its group, and that ``command`` reads."""
    problems = [] if form in FORMATS else [f"--format {form}{known(form, FORMATS)}"]
    if command is not None and command not in command_names():
        problems.append(f"--command {command}{known(command, command_names())}")
    if problems:
        raise SettingsError(*problems)
    every = known_variables()
    if only_set:
        _show_set([one for one in set_variables(every, os.environ) if _wanted(one.known, command)
                   and _named(f"{one.name} {one.known.group}", words)], form)
        return 0
    rows = [one for one in every if _wanted(one, command) and _named(f"{one.name} {one.group}", words)]
    if not rows:
        groups = sorted({one.group.split()[-1] for one in every})
        raise SettingsError(f"no variable has {' and '.join(words)} in its name{known(words[0], groups)}")
    _show(rows, form)
    return 0


def _wanted(one: KnownVariable, command: str | None) -> bool:
    return command is None or not one.commands or command in one.commands


def _named(text: str, words: Sequence[str]) -> bool:
    return all(word.lower() in text.lower() for word in words)


def set_variables(every: Sequence[KnownVariable], environment: Mapping[str, str]) -> list[SetVariable]:
    """Those of ``every`` that are set, in its order, and then what begins as ours do and is none of them: a connector
    file may read it, so it is as secret as a key.
    """
    own = {one.name: (at, one) for at, one in enumerate(every)}
    found: list[tuple[int, SetVariable]] = []
    for name, text in environment.items():
        seen = _recognised(name, own) if text.strip() else None
        if seen is not None:
            bare, at, one = seen
            in_file, value = bare != name, text
            if one.secret and not in_file:
                SECRETS.add(text.strip())
                value = HIDDEN
            found.append((at, SetVariable(name, one, value)))
            for word in re.split(r"[\s,]+", text):
                if "://" in word:
                    SECRETS.add_address(word)
        elif text.strip() and name.startswith("K2_"):
            found.append((len(own), SetVariable(name, _UNKNOWN, HIDDEN)))
    found.sort(key=lambda pair: (pair[0], pair[1].name))
    return [replace(one, value=SECRETS.hide(one.value)) for _, one in found]


def _recognised(name: str, own: Mapping[str, tuple[int, KnownVariable]]) -> tuple[str, int, KnownVariable] | None:
    """The name without a `_FILE` that says where the value is, and what is known of it; proxies may be written in small
    letters, and connectors have any names.
    """
    for bare in dict.fromkeys((name, name.removesuffix(SUFFIX))):
        spelt = bare.upper() if bare.islower() else bare
        if spelt not in own and bare.startswith("K2_"):
            suffix = max((one for one in CONNECTOR_VARIABLES if bare.endswith(f"_{one}")), key=len, default="")
            spelt = f"{CONNECTOR}{suffix}" if suffix and len(bare) > len(f"K2__{suffix}") else bare
        if spelt in own and (bare == name or own[spelt][1].in_file):
            return (bare, *own[spelt])
    return None


def _show(rows: Sequence[KnownVariable], form: str) -> None:
    if form == "json":
        show_json([_plain(one) for one in rows])
    elif form == "markdown":
        show(*markdown(rows))
    else:
        console = screen()
        cells = [(_name(one), one.meaning, one.default, ", ".join(one.commands) or "all") for one in rows]
        console.print(table(_COLUMNS, cells, console.width))
        say(f"* a secret, or NAME{SUFFIX} names the file that holds it; k2conn env --set: which are set here")


def _name(one: KnownVariable) -> str:
    return f"{one.name} *" if one.secret else one.name


def _show_set(rows: Sequence[SetVariable], form: str) -> None:
    if form == "json":
        show_json([{**_plain(one.known), "name": one.name, "value": one.value} for one in rows])
    elif form == "markdown":
        show("| variable | value | what for |", "|---|---|---|")
        show(*(f"| {code(one.name)} | {code(one.value)} | {cell(one.known.meaning)} |" for one in rows))
    elif rows:
        console = screen()
        cells = [(one.name, one.value, one.known.meaning) for one in rows]
        console.print(table(_SET_COLUMNS, cells, console.width))
    else:
        say("none of them is set")


def _plain(one: KnownVariable) -> dict[str, object]:
    return {**asdict(one), "commands": list(one.commands)}


def markdown(rows: Sequence[KnownVariable]) -> Iterator[str]:
    """A table for each group under a heading: docs/environment.md is these lines."""
    yield from ("# Environment variables", "", *_ABOUT)
    groups = dict.fromkeys(one.group for one in rows)
    for group in groups:
        yield from ("", f"## {group[:1].upper()}{group[1:]}", "")
        yield from ("| variable | what for | default | secret | read by |", "|---|---|---|---|---|")
        for one in rows:
            if one.group == group:
                marks = "yes" if one.secret else ""
                names = code(one.name) + ("" if one.in_file else " ¹")
                read = ", ".join(one.commands) or "all"
                yield f"| {names} | {cell(one.meaning)} | {code(one.default)} | {marks} | {read} |"
