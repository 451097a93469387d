"""What connectors read of the environment is a secret (a key, a token), and so are the signatures made with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2conn.plan import SendScope
from k2conn.plan.sending import Template
from k2conn.plan.values import Json
from k2conn.secret_mask import SECRETS


class ReadVariables(Mapping[str, str]):
    """The environment as connectors see it; a value that one asked for is hidden from then on."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        value = self._variables[name]
        SECRETS.add(value)
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
