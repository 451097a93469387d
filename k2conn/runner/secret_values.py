"""What connectors read of the environment is a secret (a key, a token), and so are the signatures made with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2conn.errors import SettingsError
from k2conn.plan import SendScope
from k2conn.plan.sending import Template
from k2conn.plan.values import Json
from k2conn.secret_mask import SECRETS
from k2conn.variable_files import hidden, is_set, tell_unreadable, value_of


class ReadVariables(Mapping[str, str]):
    """The environment as connectors see it; a value that one asked for is hidden from then on. One that is in a file
    is read whenever it is asked for, so that a new connection has what the file says by then.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._latest: dict[str, str] = {}
        """What files said when they could last be read."""

    def __getitem__(self, name: str) -> str:
        """KeyError where neither the variable is set nor a file of it; SettingsError for a file that never could be
        read.
        """
        if not is_set(name, self._variables):
            return self._variables[name]
        try:
            value = hidden(value_of(name, self._variables))
        except SettingsError as error:
            if name not in self._latest:
                raise
            tell_unreadable(error)
            return self._latest[name]
        self._latest[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def hidden_from_then_on(sign: Template) -> Template:
    """The same signatures, each hidden once it is made."""

    def signature(scope: SendScope) -> Json:
        found = sign(scope)
        SECRETS.add_passing(found)
        return found

    return signature
