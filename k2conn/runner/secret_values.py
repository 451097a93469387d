"""What connectors read of the environment is a secret (a key, a token): a venue that repeats it must not put it into
our log, or on our status page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "[hidden]"
_SHORTEST = 6
"""Characters below which a value is no secret, and may be part of any text."""
_values: set[str] = set()


class ReadVariables(Mapping[str, str]):
    """The environment as connectors see it; a value that one asked for is hidden from then on."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        value = self._variables[name]
        for one in (value, value.strip()):
            if len(one) >= _SHORTEST:
                _values.add(one)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def without_secrets(value: Any) -> Any:
    """A text, or whatever holds texts, with what is hidden left out."""
    if not _values:
        return value
    if isinstance(value, str):
        for one in _values:
            value = value.replace(one, HIDDEN)
        return value
    if isinstance(value, dict):
        return {name: without_secrets(one) for name, one in value.items()}
    return [without_secrets(one) for one in value] if isinstance(value, list) else value
