"""The environment, read with the names of its variables in every problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from k2conn.errors import SettingsError
from k2conn.secret_mask import SECRETS
from k2conn.settings.values import HIDDEN, KINDS
from k2conn.variable_files import FileSecret, value_of

_SCHEME = re.compile(r"^(?:postgres(?:ql)?|https?)://")
"""Of an address that is secret as a whole this is none: it would be hidden wherever a text ends with such a word."""


class Environment:
    """The environment; problems are collected until `finish`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []
        self.unreadable: set[str] = set()
        """The names of what is set, but could not be read."""

    def get(self, name: str, kind: str = "text") -> Any:
        """The value of a variable, or of the file that `NAME_FILE` names, in its kind; None where neither is set."""
        try:
            text = value_of(name, self._variables)
        except SettingsError as error:
            self.unreadable.add(name)
            self.problems += error.problems
            return None
        found = self.read(name, text, kind) if text else None
        return FileSecret.read(name, found, self._variables) if kind == "secret" and found is not None else found

    def read(self, name: str, text: str, kind: str) -> Any:
        """A text in its kind; None after noting what is wrong with it, under a name."""
        if kind == "secret":
            bare = _SCHEME.sub("", text)
            if bare == text or "@" in bare:  # else an address without a password, of which nothing is secret
                SECRETS.add(bare)
        if "://" in text:  # within a secret, too: who is told a database's address may repeat its password alone
            for one in re.split(r"[\s,]+", text):
                SECRETS.add_address(one, options=kind == "secret")
        try:
            return KINDS[kind](text)
        except ValueError as error:
            self.unreadable.add(name)
            self.problems.append(f"{name}{'' if kind in HIDDEN else shown(text)}: {error}")
            return None

    def finish(self) -> None:
        """Raises SettingsError with all problems."""
        if self.problems:
            raise SettingsError(*self.problems)


def shown(text: str) -> str:
    """A setting's text behind its name, as a problem shows it: one line, and not endless."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f" '{plain if len(plain) <= 80 else plain[:80] + '...'}'"
