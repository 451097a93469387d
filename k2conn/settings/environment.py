"""The environment, read with the names of its variables in every problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k2conn.errors import SettingsError
from k2conn.secret_mask import SECRETS
from k2conn.settings.values import HIDDEN, KINDS

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
        """The value of a variable in its kind; None where it is not set or empty."""
        text = self._variables.get(name, "").strip()
        if kind == "secret" and not text:
            return self._secret_file(name, f"{name}_FILE")
        return self.read(name, text, kind) if text else None

    def read(self, name: str, text: str, kind: str) -> Any:
        """A text in its kind; None after noting what is wrong with it, under a name."""
        if kind == "secret":
            SECRETS.add(_SCHEME.sub("", text))
        if "://" in text:
            for one in re.split(r"[\s,]+", text):
                SECRETS.add_address(one)
        try:
            return KINDS[kind](text)
        except ValueError as error:
            self.unreadable.add(name)
            self.problems.append(f"{name}{'' if kind in HIDDEN else shown(text)}: {error}")
            return None

    def _secret_file(self, name: str, variable: str) -> str | None:
        file = self._variables.get(variable, "").strip()
        if not file:
            return None
        try:
            found = Path(file).read_text(encoding="utf-8").strip()
            if found:
                read: str | None = self.read(variable, found, "secret")
                return read
            problem = "the file is empty"
        except OSError as error:
            problem = str(error.strerror or error)
        except ValueError:
            problem = "the file is no text in UTF-8"
        self.unreadable.add(name)
        self.problems.append(f"{variable}: {problem}")
        return None

    def finish(self) -> None:
        """Raises SettingsError with all problems."""
        if self.problems:
            raise SettingsError(*self.problems)


def shown(text: str) -> str:
    """A setting's text behind its name, as a problem shows it: one line, and not endless."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f" '{plain if len(plain) <= 80 else plain[:80] + '...'}'"
